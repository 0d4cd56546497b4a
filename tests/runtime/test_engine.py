"""The engine: real families in one loop, two doors, several models, and clean endings."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from studiolo.bundle.layout import load_decoder
from studiolo.bundle.layout.packed import load_packed
from studiolo.errors import (
    BusyError,
    ContextOverflowError,
    DeadlineError,
    MemoryLimitError,
    RequestCancelledError,
    UnknownModelError,
)
from studiolo.family.autoregressive import Autoregressive, SampleProgress, TokenRequest
from studiolo.family.encoder import EncodeRequest, TextEncoder
from studiolo.family.prefix import PrefixCache
from studiolo.nn.config import EncoderConfig
from studiolo.nn.encoder import Encoder
from studiolo.nn.native import best_player
from studiolo.runtime.engine import Engine
from studiolo.runtime.loop import steps
from studiolo.runtime.scheduler import Pace
from studiolo.sampler.decoding import generator
from studiolo.sampler.settings import Decoding
from tests import reference
from tests.runtime.toys import Ask, Cloud, Making, Patient, PointFlow, Toy


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(model_memory=10_000_000, request_memory=100_000_000) as running:
        yield running


def language() -> Autoregressive:
    return Autoregressive(load_decoder(reference.checkpoint(reference.make("llama"))))


def texts() -> TextEncoder:
    torch.manual_seed(0)
    config = EncoderConfig(
        architecture="bert", vocabulary=97, width=32, heads=4, mlp_width=64, positions=64, layers=2,
        max_tokens=64,
    )  # fmt: skip
    return TextEncoder(Encoder(config))


class Slow(Toy):
    """A step takes a while."""

    def advance(self, progresses: Any, grants: Any) -> Any:
        time.sleep(0.002)
        return super().advance(progresses, grants)


def test_texts_vectors_and_points_in_one_loop(engine: Engine) -> None:
    language_model, encoder, flow = language(), texts(), PointFlow()
    engine.add("text", lambda: language_model, 1000, Pace(budget=16))
    engine.add("vectors", lambda: encoder, 1000, Pace(budget=64))
    engine.add("points", lambda: flow, 1000, Pace(budget=4))
    prompts = [tuple(range(3, 5 + 3 * i)) for i in range(12)]
    asked = [TokenRequest(p, 12, Decoding(temperature=0.8)) for p in prompts]
    passages = [EncodeRequest(p) for p in prompts]
    clouds = [Cloud(5 + i, 3 + i, (float(i), -1.0)) for i in range(6)]
    tokens = [engine.submit("text", each, seed=i, client="a") for i, each in enumerate(asked)]
    vectors = [engine.submit("vectors", each, client="b") for each in passages]
    points = [engine.submit("points", each, seed=i) for i, each in enumerate(clouds)]

    for i, ticket in enumerate(tokens):
        alone = language_model.begin(asked[i], generator(i))
        for _ in steps(language_model, [alone]):
            pass
        assert ticket.result(60).tokens == language_model.finish(alone).tokens
    for passage, vector in zip(passages, vectors, strict=True):
        alone_read = encoder.begin(passage, generator(0))
        encoder.advance([alone_read], [alone_read.demand])
        assert torch.allclose(vector.result(60), encoder.finish(alone_read), atol=1e-6)
    for cloud, made in zip(clouds, points, strict=True):
        assert torch.allclose(made.result(60), torch.tensor(cloud.centre), atol=1e-5)
    assert engine.loop.scheduler.memory.used == 0


@pytest.mark.parametrize("budget", [3, 16, 64])
@pytest.mark.parametrize("prefix_bytes", [0, 60_000, 10**8])
def test_packed_and_in_company_it_is_the_same_to_the_bit_as_alone(
    engine: Engine, budget: int, prefix_bytes: int
) -> None:
    network = load_packed(reference.checkpoint(reference.make("llama")), best_player())
    alone = Autoregressive(network)
    shared: PrefixCache[Any] = PrefixCache(prefix_bytes)
    engine.add("text", lambda: Autoregressive(network, shared), 1000, Pace(budget=budget))
    rng = random.Random(budget)
    system = tuple(rng.choices(range(3, 97), k=35))
    asked = [
        TokenRequest(
            system[: rng.choice((0, 33, 35))]
            + tuple(rng.choices(range(3, 97), k=rng.randint(1, 15))),
            rng.randint(1, 12),
            Decoding(temperature=0.9),
            log_probs=2,
        )
        for _ in range(40)
    ]
    expected = []
    for seed, each in enumerate(asked):
        progress = alone.begin(each, generator(seed))
        for _ in steps(alone, [progress]):
            pass
        expected.append(alone.finish(progress))
    tickets = [
        engine.submit("text", each, seed=seed, client=str(seed % 3), priority=seed % 2)
        for seed, each in enumerate(asked)
    ]
    for ticket in tickets[::5]:
        ticket.cancel()
    for i, ticket in enumerate(tickets):
        if i % 5:
            assert ticket.result(60) == expected[i]
    assert shared.nbytes <= prefix_bytes
    if prefix_bytes == 10**8:
        assert shared.saved > 0


def test_a_stream_and_its_sample_for_threads_and_for_asyncio(engine: Engine) -> None:
    engine.add("toy", Toy, 1000)
    with engine.submit("toy", Ask(5), watch=Making.preview) as ticket:
        assert list(ticket) == [1, 2, 3, 4, 5]
        assert ticket.result() == (0, 1, 2, 3, 4)

    async def listen(steps: int) -> list[object]:
        with engine.submit("toy", Ask(steps), watch=Making.preview) as ticket:
            events = [event async for event in ticket]
            assert await ticket == tuple(range(steps))
            return events

    async def many() -> list[list[object]]:
        return await asyncio.gather(*(listen(n) for n in range(1, 20)))

    assert asyncio.run(many()) == [list(range(1, n + 1)) for n in range(1, 20)]


def test_a_long_step_is_broken_off_when_somebody_comes(engine: Engine) -> None:
    patient = Patient()
    engine.add("patient", lambda: patient, 1000)
    long = engine.submit("patient", Ask(1, 320, name="long"))
    assert patient.stepping.wait(10)
    short = engine.submit("patient", Ask(1, 22, name="short"))
    assert short.result(10) == long.result(10) == (0,)
    assert dict(patient.batches[0]) == {"short": 22, "long": 16}
    assert sum(dict(batch)["long"] for batch in patient.batches) == 320


def test_a_short_prompt_overtakes_a_long_one_and_writing_never_stops(engine: Engine) -> None:
    toy = Toy()
    engine.add("toy", lambda: toy, 1000)
    gate = threading.Event()
    held = engine.submit("toy", Ask(1, name="gate"), watch=lambda progress: gate.wait(10))
    while not toy.batches:
        time.sleep(0.001)
    asks = [Ask(40, name="writer"), Ask(1, 2048, name="long"), Ask(1, 22, name="short")]
    tickets = [engine.submit("toy", ask) for ask in asks]
    gate.set()
    for ticket in (held, *tickets):
        ticket.result(10)
    batches = [dict(batch) for batch in toy.batches]
    assert batches[1] == {"writer": 1, "short": 22, "long": 16}
    assert all("writer" in batch for batch in batches[1:41])
    assert sum(batch.get("long", 0) for batch in batches) == 2048
    assert {batch["long"] for batch in batches[2:33]} == {63}


def test_every_way_of_ending_badly(engine: Engine) -> None:
    engine.add("toy", Slow, 1000, Pace(waiting=3))
    with pytest.raises(UnknownModelError, match="toy"):
        engine.submit("toi", Ask(1))
    with pytest.raises(MemoryLimitError, match=r"100\.0 MB too much"):
        engine.submit("toy", Ask(1, size=200_000_000))
    with pytest.raises(DeadlineError) as late:
        engine.submit("toy", Ask(10_000), timeout=0.05).result(10)
    assert late.value.sample
    with pytest.raises(ValueError, match="nan at step 3"):
        engine.submit("toy", Ask(5, breaks_at=3)).result(10)
    endless = engine.submit("toy", Ask(10**9), watch=Making.preview)
    assert next(iter(endless)) == 1
    endless.cancel()
    with pytest.raises(RequestCancelledError):
        endless.result(10)
    full = [engine.submit("toy", Ask(10**9, size=90_000_000))]
    while not engine.loop.scheduler.memory.used:
        time.sleep(0.001)
    full += [engine.submit("toy", Ask(1, size=90_000_000)) for _ in range(3)]
    with pytest.raises(BusyError, match="Try again"):
        engine.submit("toy", Ask(1, size=90_000_000))
    for ticket in full:
        ticket.cancel()
    assert engine.submit("toy", Ask(2)).result(10) == (0, 1)
    assert engine.models._entries["toy"].users == 0


def test_too_much_for_the_context_and_numbers_that_are_none(engine: Engine) -> None:
    model = language()
    engine.add("text", lambda: model, 1000)
    with pytest.raises(ContextOverflowError, match=r"65 tokens .* \(1 too many\)"):
        engine.submit("text", TokenRequest((5,) * 60, 5, Decoding()))
    greedy = Decoding(temperature=0)
    plain = engine.submit("text", TokenRequest((5,), 9, greedy)).result(10)

    def poison(progress: SampleProgress) -> None:
        if len(progress.preview()) == 3:
            cache: Any = progress.rows[0].cache
            for values in cache._values:
                values.fill_(float("nan"))

    bad = engine.submit("text", TokenRequest((6,), 9, greedy), watch=poison)
    good = engine.submit("text", TokenRequest((5,), 9, greedy))
    with pytest.raises(Exception, match="nan"):
        bad.result(10)
    assert good.result(10).tokens == plain.tokens


def test_models_come_and_go_and_leave_their_memory(engine: Engine) -> None:
    seen: list[weakref.ref[Toy]] = []

    def load() -> Toy:
        toy = Slow()
        seen.append(weakref.ref(toy))
        return toy

    forgotten: list[str] = []
    for name in "abc":
        engine.add(name, load, 4_000_000, forget=partial(forgotten.append, name))
    kept = engine.submit("a", Ask(1))
    kept.result(10)
    busy = engine.submit("b", Ask(10**9))
    engine.submit("c", Ask(1)).result(10)
    gc.collect()
    assert [ref() is None for ref in seen] == [True, False, False]
    assert forgotten == ["a"]
    engine.submit("c", Ask(10**9))
    with pytest.raises(BusyError, match=r"in use are b \(4\.0 MB\), c \(4\.0 MB\)"):
        engine.submit("a", Ask(1))
    busy.cancel()
    with pytest.raises(RequestCancelledError):
        busy.result(10)
    engine.submit("a", Ask(1)).result(10)
    assert (list(engine.models.loaded), forgotten) == (["c", "a"], ["a", "b"])
    assert kept.result() == (0,)


def test_closing_ends_everybody_and_nobody_enters() -> None:
    engine = Engine(model_memory=1000, request_memory=1000)
    engine.add("toy", Slow, 1000)
    tickets = [engine.submit("toy", Ask(10**9)) for _ in range(200)]
    states = [engine.closed]
    for _ in range(2):
        engine.close()
        states.append(engine.closed)
    assert states == [False, True, True]
    for ticket in tickets:
        with pytest.raises(RequestCancelledError, match="engine is closed"):
            ticket.result(10)
    with pytest.raises(RequestCancelledError, match="engine is closed"):
        engine.submit("toy", Ask(1))
    with pytest.raises(RequestCancelledError), engine:
        pass


def test_nobody_is_left_waiting_when_the_loop_itself_breaks(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bool:
        raise RuntimeError("a fault of ours")

    engine.add("toy", Slow, 1000)
    ticket = engine.submit("toy", Ask(10**9))
    monkeypatch.setattr(engine.loop, "turn", broken)
    with pytest.raises(RequestCancelledError, match=r"broke down.*a fault of ours"):
        ticket.result(10)
    with pytest.raises(RequestCancelledError) as caught:
        engine.submit("toy", Ask(1))
    assert isinstance(caught.value.__cause__, RuntimeError)


SCRIPT = """
import sys
from studiolo.runtime.engine import Engine
from tests.runtime.test_engine import Slow
from tests.runtime.toys import Ask, Making

engine = Engine(model_memory=10, request_memory=10)
engine.add("toy", Slow, 10)
ticket = engine.submit("toy", Ask(10**9), watch=Making.preview)
print("begun", flush=True)
if sys.argv[1] == "leave":
    sys.exit()
with engine:
    ticket.result()
"""


@pytest.mark.parametrize("how", ["interrupt", "leave"])
def test_a_process_ends_cleanly_by_ctrl_c_and_by_leaving(how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    if how == "interrupt":
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    if how == "leave":
        assert (process.returncode, errors) == (0, "")
    else:
        assert process.returncode in (1, -signal.SIGINT, 130)
        assert errors.strip().endswith("KeyboardInterrupt")
