"""What is asked of the real engine comes out as it does alone: text, tokens and log-probabilities,
to the bit, whatever the company and its adapters, the cutting, the threads, what is kept, guessed
or cancelled, and in another process.

A few requests are made alone, one after another, with nothing kept and nothing guessed. Then all
are asked again and again, in rounds of ever other settings; half of the rounds are a second
process's, which runs at the same time.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pytest

from studiolo.bundle.store import open_installed
from studiolo.errors import RequestCancelledError
from studiolo.family.autoregressive import Autoregressive, Progress, TokenRequest
from studiolo.family.prefix import PrefixCache
from studiolo.nn.adapter import Adaptation
from studiolo.nn.native import Native
from studiolo.runtime.engine import Engine
from studiolo.runtime.loop import steps
from studiolo.runtime.scheduler import Pace
from studiolo.sampler.constraint import Constraint
from studiolo.sampler.decoding import generator
from studiolo.sampler.settings import Decoding
from studiolo.task.generation import Telling
from studiolo.task.load import load
from studiolo.task.text import LanguageModel
from tests.nn.packs import random_adapter
from tests.texts import prose

COPIES = 10
"""How often each request is asked, in company of others each time."""
ROUND = 125
BUDGETS = (8, 16, 33, 64, 64, 200)
SAMPLERS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.0},
    {"temperature": 0.0, "repetition_penalty": 1.2},
    {"temperature": 0.2, "top_k": 40},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.0},
    {"temperature": 1.3, "min_p": 0.1, "presence_penalty": 0.4},
    {"temperature": 0.8, "typical_p": 0.7, "frequency_penalty": 0.3},
    {"temperature": 0.5, "top_k": 12, "top_p": 0.8, "logit_bias": {"30": 2.5, "253": -4.0}},
)
RULES: tuple[dict[str, Any], ...] = (
    {"choices": ["yes", "no", "it depends on the weather"]},
    {"regex": "([a-z]{2,6} ){2,9}"},
    {"json_schema": {"type": "array", "items": {"type": "integer"}, "maxItems": 7}},
    {"grammar": 'start: ("one" | "two" | "three") (", " ("one" | "two" | "three"))*'},
)


class Requests:
    """The requests, each by its number; the same in every process."""

    def __init__(self, path: str) -> None:
        self.lm: LanguageModel = load(path, device="cpu", arithmetic="packed")
        self.seen: Counter[str] = Counter()

    @cached_property
    def text(self) -> list[int]:
        return self.lm.tokenizer.encode(prose(40_000))

    @cached_property
    def adapters(self) -> list[Adaptation]:
        """Of several ranks, that change some products and what is written."""
        network = self.lm.model.network
        return [
            network.adapt(random_adapter(self.lm.config, seed, (0, 4, 8, 16), 0.2))
            for seed in range(4)
        ]

    @lru_cache(maxsize=10_000)  # noqa: B019
    def asked(self, number: int) -> tuple[TokenRequest, tuple[str, ...]]:
        """What is asked, and the strings that end it."""
        rng, tokenizer = random.Random(number), self.lm.tokenizer
        at = rng.randrange(len(self.text) - 500)
        prompt = self.text[at : at + int(rng.triangular(8, 33, 8))]
        if rng.random() < 0.25:  # several begin alike
            begin = 1000 * rng.randrange(2)
            prompt = self.text[begin : begin + rng.choice((32, 70))] + prompt
        elif rng.random() < 0.3:  # and some repeat themselves
            prompt = prompt * 2
        longer = rng.random()
        if longer < 0.01:
            prompt = self.text[at : at + 400]
        count = int(rng.triangular(8, 33, 8)) if longer < 0.98 else rng.randint(60, 160)
        rule = None
        if rng.random() < 0.2:
            constraint = Constraint.asked(**rng.choice(RULES))
            assert constraint is not None
            rule = self.lm._guides.compile(constraint)
        request = TokenRequest(
            tuple(prompt),
            count,
            Decoding.checked(**rng.choice(SAMPLERS)),
            tokenizer.eos_ids if rule or rng.random() < 0.7 else frozenset(),
            log_probs=rng.choice((0, 2, 5)),
            constraint=rule,
            adapter=rng.choice(self.adapters) if rng.random() < 0.4 else None,
        )
        return request, (rng.choice((".", " the", "\n\n")),) if rng.random() < 0.2 else ()

    def telling(self, number: int) -> Telling:
        request, stops = self.asked(number)
        return Telling(self.lm.tokenizer, request, stops, number, 1)

    def alone(self, number: int) -> str:
        """The digest of what comes of a request that is the only one, read and told plainly."""
        telling = self.telling(number)
        model = Autoregressive(self.lm.model.network, speculate=False)
        progress = model.begin(telling.request, generator(number))
        for _ in steps(model, [progress]):
            telling.hear(0, progress)
        return self.digest(telling, model.finish(progress))

    def digest(self, telling: Telling, sample: Any) -> str:
        """Of the text, the tokens, the reason and the bits of every log-probability."""
        made = telling.whole([sample], None, 0.0)
        assert made.log_probs is not None
        assert len(made.log_probs) == len(made.token_ids)
        numbers = [
            (each.id, each.log_prob.hex(), [(id, p.hex()) for id, p in each.top])
            for each in made.log_probs
        ]
        told = json.dumps([made.text, made.token_ids, made.finish_reason, numbers])
        return hashlib.sha256(told.encode()).hexdigest()

    def round(self, numbers: list[int], seed: int) -> list[tuple[int, str, str]]:
        """Ask all of ``numbers`` of an engine: number, digest, and the circumstances in words."""
        rng = random.Random(seed)
        network: Any = self.lm.model.network
        player = network.player
        threads, budget = rng.choice((1, 2, 2)), rng.choice(BUDGETS)
        kept, speculate = rng.choice((None, 3_000_000, 10**9)), rng.random() < 0.6
        if isinstance(player, Native):
            player.threads = threads
        prefix: PrefixCache[Any] | None = None if kept is None else PrefixCache(kept)
        model = Autoregressive(network, prefix, speculate=speculate)
        where = f"round {seed}: {threads=} {budget=} {kept=} {speculate=}"
        results = []
        with Engine(model_memory=10**9, request_memory=8 * 10**9) as engine:
            engine.add("lm", lambda: model, 0, Pace(budget=budget, live=rng.choice((4, 30, 90))))
            tickets, victims = [], []
            for number in numbers:
                while rng.random() < 0.15:
                    other = self.asked(rng.randrange(10**9))[0]
                    limit = rng.randint(1, 20)
                    victims.append(engine.submit("lm", other, watch=self.until(limit)))
                telling = self.telling(number)
                self.seen["adapter"] += telling.request.adapter is not None
                tickets.append(
                    engine.submit(
                        "lm",
                        telling.request,
                        seed=number,
                        client=rng.choice("abc"),
                        priority=rng.choice((0, 0, 1)),
                        watch=self.listening(telling),
                    )
                )
                time.sleep(rng.choice((0, 0, 0, 0.01, 0.04)))
                if victims and rng.random() < 0.2:
                    rng.choice(victims).cancel()
            for number, ticket in zip(numbers, tickets, strict=True):
                digest = self.digest(self.telling(number), ticket.result(600))
                results.append((number, digest, where))
            for victim in victims:
                victim.cancel()
                try:
                    victim.result(600)
                except (RequestCancelledError, InterruptedError):
                    self.seen["cancelled"] += 1
        self.seen[f"speculation {speculate}"] += len(numbers)
        self.seen[f"prefix {kept is not None}"] += len(numbers)
        self.seen["saved"] += prefix.saved if prefix is not None else 0
        return results

    def until(self, limit: int) -> Callable[[Progress], None]:
        """A watcher that refuses what has grown to ``limit`` tokens."""

        def watch(progress: Progress) -> None:
            if len(progress.preview()) >= limit:
                raise InterruptedError

        return watch

    def listening(self, telling: Telling) -> Callable[[Progress], None]:
        """A watcher that ends at a stop string, and counts the steps that brought several."""
        so_far = 0

        def watch(progress: Progress) -> None:
            nonlocal so_far
            before, so_far = so_far, len(progress.preview())
            self.seen["several at once"] += so_far > before + 1
            telling.hear(0, progress)

        return watch


def rounds(requests: Requests, count: int, half: int) -> list[tuple[int, str, str]]:
    """The results of ``count`` requests in all, of the first or the second half of them."""
    distinct = -(-count // COPIES)
    results = []
    for copy in range(half * COPIES // 2, (half + 1) * COPIES // 2):
        numbers = list(range(distinct))
        random.Random(copy).shuffle(numbers)
        for at in range(0, distinct, ROUND):
            seed = (copy * distinct + at) * 7 + copy
            results += requests.round(numbers[at : at + ROUND], seed)
    return results


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_all_that_is_asked_comes_out_as_it_does_alone(
    starter: Path, proof: Callable[..., int]
) -> None:
    """Requests to the engine in any circumstances, and in two processes: bits as when alone."""
    count = proof("same-bits", short=60, full=10_000)
    path = str(open_installed(starter).path)
    command = [sys.executable, "-m", "tests.runtime.test_same", path, str(count)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as second:
        requests = Requests(path)
        expected = [requests.alone(number) for number in range(-(-count // COPIES))]
        assert len(set(expected)) > 0.9 * len(expected)
        results = rounds(requests, count, 0)
        told, _ = second.communicate()
    assert second.returncode == 0
    elsewhere = json.loads(told)
    different = [
        (number, where, process)
        for process, part in enumerate((results, elsewhere["results"]))
        for number, digest, where in part
        if digest != expected[number]
    ]
    assert different == []
    assert len(results) + len(elsewhere["results"]) >= count
    seen = requests.seen + Counter(elsewhere["seen"])
    if count > 1000:
        on_and_off = [f"{what} {on}" for what in ("speculation", "prefix") for on in (True, False)]
        assert min(seen[each] for each in on_and_off) > count // 5
        assert min(seen[each] for each in ("several at once", "cancelled", "saved")) > count // 100
        assert seen["adapter"] > count // 5


if __name__ == "__main__":
    there = Requests(sys.argv[1])
    found = rounds(there, int(sys.argv[2]), 1)
    json.dump({"results": found, "seen": there.seen}, sys.stdout)
