"""Sequences that read guesses along: not one bit of them is different, only the steps are fewer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from torch import Tensor

import studiolo
from studiolo.bundle.layout import load_decoder
from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.family.autoregressive import Autoregressive
from studiolo.family.prefix import PrefixCache
from studiolo.family.sequence import SampleProgress, TokenRequest, TokenSample
from studiolo.nn.network import Piece
from studiolo.runtime.loop import steps
from studiolo.sampler.constraint import Constraint
from studiolo.sampler.decoding import generator
from studiolo.sampler.guide import Guides
from studiolo.sampler.settings import Decoding
from studiolo.sampler.speculation import Lookup
from tests import reference

SCHEMA = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 6}


@pytest.fixture(scope="module")
def lm(tiny: str) -> studiolo.LanguageModel:
    return studiolo.load(tiny, device="cpu", arithmetic="packed")


def asked(lm: studiolo.LanguageModel, count: int) -> list[TokenRequest]:
    rng = random.Random(5)
    guides = Guides(lm.tokenizer)
    rules: list[Any] = [{"json_schema": SCHEMA}, {"regex": "(ab|cd){3,20}"}]
    chosen: list[dict[str, Any]] = [
        {"temperature": 0.0},
        {"temperature": 0.0, "repetition_penalty": 1.3, "frequency_penalty": 0.2},
        {"temperature": 0.9, "top_p": 0.9},
        {"temperature": 0.5, "top_k": 5, "presence_penalty": 0.3},
        {"temperature": 1.2, "typical_p": 0.8, "logit_bias": {"7": 3.0}},
        {"temperature": 0.4, "min_p": 0.05},
    ]
    requests = []
    for i in range(count):
        rule = None
        if i % 3 == 0:
            constraint = Constraint.asked(**rng.choice(rules))
            assert constraint is not None
            rule = guides.compile(constraint)
        prompt = tuple(rng.choices(range(5, 60), k=rng.randint(1, 45)))
        requests.append(
            TokenRequest(
                prompt,
                rng.randint(1, 60),
                Decoding.checked(**chosen[i % len(chosen)]),
                frozenset({0} if i % 2 else {0, *rng.choices(range(5, 260), k=30)}),
                log_probs=rng.choice((None, 0, 3)),
                constraint=rule,
            )
        )
    return requests


def make(model: Autoregressive, request: TokenRequest, seed: int) -> tuple[Any, list[int]]:
    progress = model.begin(request, generator(seed))
    for _ in steps(model, [progress]):
        pass
    assert isinstance(progress, SampleProgress)
    return model.finish(progress), progress.rng.get_state().tolist()


@pytest.fixture
def prophets(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, ...], Sequence[int]]:
    """What will follow each prompt; guesses are then that, but for a wrong one now and then."""
    known: dict[tuple[int, ...], Sequence[int]] = {}
    rng = random.Random(9)

    def guess(lookup: Lookup, most: int, company: int = 1) -> tuple[int, ...]:
        so_far = tuple(lookup._tokens)
        for prompt, tokens in known.items():
            text = (*prompt, *tokens)
            if so_far == text[: len(so_far)] and len(so_far) >= len(prompt):
                guesses = (*text[len(so_far) :][: rng.randint(0, 9)], 5)
                guesses = tuple(g if rng.random() < 0.8 else rng.randrange(260) for g in guesses)
                return guesses[: max(0, most)]
        return ()

    monkeypatch.setattr(Lookup, "guess", guess)
    return known


@pytest.mark.parametrize("prefix", [None, 10_000_000])
def test_guesses_change_no_bit(
    lm: studiolo.LanguageModel,
    prefix: int | None,
    prophets: dict[tuple[int, ...], Sequence[int]],
) -> None:
    plain = Autoregressive(lm.model.network, speculate=False)
    pasts: PrefixCache[Any] | None = None if prefix is None else PrefixCache(prefix)
    model = Autoregressive(lm.model.network, pasts)
    rng = random.Random(1)
    requests = asked(lm, 24)
    expected = [make(plain, request, seed) for seed, request in enumerate(requests)]
    for request, (sample, _) in zip(requests, expected, strict=True):
        prophets[request.prompt] = sample.tokens
    progresses = [model.begin(request, generator(i)) for i, request in enumerate(requests)]
    several = 0
    while live := [p for p in progresses if not p.done]:
        live = rng.sample(live, k=min(len(live), rng.randint(1, 9)))
        before = [len(p.preview()) for p in live]
        assert model.advance(live, [rng.randint(p.least, p.demand) for p in live]) == {}
        several += sum(len(p.preview()) - b > 1 for p, b in zip(live, before, strict=True))
        for progress in live:
            held = sum(sum(row.cache.parts.values()) for row in progress.rows)
            assert held <= model.weigh(progress.request)
    assert several > 50
    for progress, (sample, state) in zip(progresses, expected, strict=True):
        assert isinstance(progress, SampleProgress)
        assert model.finish(progress) == sample
        assert progress.rng.get_state().tolist() == state
        unread = len(sample.tokens) + len(progress.request.prompt) - progress.rows[0].cache.length
        assert unread in (0, 1)  # 0 where an end was chosen after the last
    if pasts is not None:  # what is kept of them is what was really said
        for request, (sample, _) in zip(requests, expected, strict=True):
            follow = TokenRequest((*request.prompt, *sample.tokens, 9), 3, Decoding(temperature=0))
            assert make(model, follow, 0) == make(plain, follow, 0)


def test_where_a_text_repeats_itself_steps_are_saved(lm: studiolo.LanguageModel) -> None:
    network = lm.model.network
    bias = dict.fromkeys((6, 7, 8), 90.0)
    decoding = Decoding.checked(temperature=0.0, logit_bias=bias)
    request = TokenRequest((9, 8, 7), 100, decoding)

    def count(speculate: bool) -> tuple[TokenSample, int]:
        model = Autoregressive(network, speculate=speculate)
        progress = model.begin(request, generator(0))
        taken = sum(1 for _ in steps(model, [progress]))
        return model.finish(progress), taken

    (plain, many), (guessed, few) = count(False), count(True)
    assert guessed == plain
    assert many == 100
    assert few < 40


def test_beams_and_networks_whose_rows_depend_on_others_are_given_no_guesses(
    lm: studiolo.LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    floats = Autoregressive(load_decoder(reference.checkpoint(reference.make("llama"))))
    assert not floats.speculate

    def never(*args: object) -> tuple[int, ...]:
        raise AssertionError

    monkeypatch.setattr(Lookup, "guess", never)
    monkeypatch.setattr(Lookup, "append", never)
    for model, beams in ((floats, 1), (lm.model, 3)):
        progress = model.begin(TokenRequest((5, 6), 9, Decoding(beams=beams)), generator(0))
        for _ in steps(model, [progress]):
            assert all(row.guesses == () for row in progress.rows)


def cut(lm: studiolo.LanguageModel) -> tuple[Autoregressive, SampleProgress, tuple[int, ...]]:
    """A progress that has just gained several tokens in one step; and all that it will say."""
    model = Autoregressive(lm.model.network, PrefixCache(10_000_000))
    request = TokenRequest((5, 6) * 20, 30, Decoding(temperature=0), log_probs=1)
    sample, _ = make(Autoregressive(lm.model.network, speculate=False), request, 0)
    progress = model.begin(request, generator(0))
    assert isinstance(progress, SampleProgress)
    assert model.advance([progress], [progress.demand]) == {}
    progress.rows[0].guesses = sample.tokens[1:6]
    return model, progress, sample.tokens


def test_who_ends_a_sequence_says_where(lm: studiolo.LanguageModel) -> None:
    model, progress, tokens = cut(lm)
    assert progress.demand == 6
    assert model.advance([progress], [4]) == {}
    assert tuple(progress.preview()) == tokens[:5]
    progress.end("stop", 3)
    sample = model.finish(progress)
    assert sample.choices is not None
    assert (sample.tokens, sample.finish_reason) == (tokens[:3], "stop")
    assert [choice.id for choice in sample.choices] == list(tokens[:3])
    assert tuple(progress.preview()) == tokens[:3]


def test_a_failure_waits_for_its_turn(
    lm: studiolo.LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, progress, tokens = cut(lm)
    step = model.network.step

    def poisoned(pieces: Sequence[Piece[Any]]) -> list[Tensor]:
        scores = step(pieces)
        scores[0][3].fill_(float("nan"))
        return scores

    with monkeypatch.context() as patch:
        patch.setattr(model.network, "step", poisoned)
        assert model.advance([progress], [6]) == {}
    assert tuple(progress.preview()) == tokens[:4]  # whoever is content with these may have them
    failed = model.advance([progress], [1])
    assert isinstance(failed[0], StudioloError)
    assert "nan" in str(failed[0])
    assert tuple(progress.preview()) == tokens[:4]


def test_a_constraint_that_gets_stuck_does_so_after_the_same_tokens(
    lm: studiolo.LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    constraint = Constraint.asked(regex="[a-z]{40}")
    assert constraint is not None
    rule = Guides(lm.tokenizer).compile(constraint)
    request = TokenRequest((5, 6), 40, Decoding(temperature=0), frozenset({0}), constraint=rule)
    whole, _ = make(Autoregressive(lm.model.network, speculate=False), request, 0)
    assert len(whole.tokens) > 8
    progress = lm.model.begin(request, generator(0))
    assert isinstance(progress, SampleProgress)
    assert lm.model.advance([progress], [2]) == {}
    progress.rows[0].guesses = whole.tokens[1:7]
    guide = progress.guide
    assert guide is not None
    take, calls = guide.take, iter(range(100))

    def stuck(token: int) -> None:
        if next(calls) == 3:
            raise InvalidRequestError("regex", "after 4 tokens nothing more can be written")
        take(token)

    monkeypatch.setattr(guide, "take", stuck)
    assert lm.model.advance([progress], [7]) == {}
    assert tuple(progress.preview()) == whole.tokens[:4]
    assert isinstance(lm.model.advance([progress], [1])[0], InvalidRequestError)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_stop_strings_end_the_same_text(lm: studiolo.LanguageModel, temperature: float) -> None:
    rng = random.Random(2)
    met = 0
    for seed in range(12):
        options: dict[str, Any] = {
            "max_tokens": 50,
            "seed": seed,
            "temperature": temperature,
            "logit_bias": {rng.randrange(5, 260): 100.0 for _ in range(3)},
            "log_probs": 1,
        }
        free = lm.generate("the cat", **options)
        at = rng.randrange(len(free.text))
        stop = free.text[at : at + 3]
        made = []
        for speculate in (True, False):
            lm.model.speculate = speculate
            made.append(lm.generate("the cat", stop=stop, **options))
        a, b = made
        lm.model.speculate = True
        assert (a.text, a.token_ids, a.finish_reason) == (b.text, b.token_ids, b.finish_reason)
        assert a.log_probs == b.log_probs
        met += a.finish_reason == "stop"
    assert met > 8
