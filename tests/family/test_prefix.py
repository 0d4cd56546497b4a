"""The prefix cache: what is found, what is kept, and that outputs are the same with it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pytest
import torch
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from torch import Tensor

from studiolo.bundle.layout import load_decoder
from studiolo.errors import StudioloError
from studiolo.family.autoregressive import Autoregressive, TokenRequest
from studiolo.family.prefix import PrefixCache
from studiolo.nn.network import PAGE, Piece
from studiolo.runtime.loop import steps
from studiolo.sampler.settings import Decoding
from tests import reference


class Paged:
    """A past of shared pages of ten bytes, each of which knows the tokens it stands for."""

    def __init__(
        self, tokens: Sequence[int] = (), pages: Sequence[object] = (), scope: str = ""
    ) -> None:
        self.tokens, self.pages, self.scope = list(tokens), list(pages), scope

    @property
    def length(self) -> int:
        return len(self.tokens)

    @property
    def parts(self) -> Mapping[int, int]:
        return {id(page): 10 for page in self.pages}

    def fork(self, length: int | None = None) -> Self:
        length = self.length if length is None else length
        full = length // PAGE
        rest = [object()] if length % PAGE else []
        return type(self)(self.tokens[:length], [*self.pages[:full], *rest], self.scope)

    def read(self, tokens: Sequence[int]) -> Self:
        self.tokens += tokens
        while len(self.pages) * PAGE < self.length:
            self.pages.append(object())
        return self


def text(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(1000), k=length)


def test_the_longest_whole_pages_are_found_and_something_is_left_to_read() -> None:
    known: PrefixCache[Paged] = PrefixCache(10_000)
    first = text(1, 100)
    assert known.longest(first) is None
    known.remember(first, Paged().read(first))
    for asked, length in (
        (first, 96),
        (first[:97], 96),
        (first[:96], 64),
        (first[:70] + text(2, 40), 64),
        (first[:33], 32),
    ):
        found = known.longest(asked)
        assert found is not None
        assert found.tokens == first[:length]
    assert known.longest(first[:32]) is None
    assert known.longest(text(2, 100)) is None
    assert known.longest(first, beyond=96) is None
    assert known.saved == 96 + 96 + 64 + 64 + 32


def test_shared_pages_count_once_and_what_is_known_is_not_kept_twice() -> None:
    known: PrefixCache[Paged] = PrefixCache(10_000)
    system = text(1, 64)
    known.remember(system, Paged().read(system))
    assert (len(known), known.nbytes) == (1, 20)
    for seed in range(5):
        past = known.longest([*system, *text(seed + 10, 40)])
        assert past is not None
        past.read(text(seed + 10, 40))
        known.remember(past.tokens, past)
        known.remember(past.tokens, past)
    assert (len(known), known.nbytes) == (5, 20 + 5 * 10)
    known.clear()
    assert (len(known), known.nbytes) == (0, 0)


def test_the_least_recently_used_goes_and_what_is_too_large_is_not_kept() -> None:
    known: PrefixCache[Paged] = PrefixCache(50)
    a, b, c = (text(seed, 64) for seed in range(3))
    for each in (a, b):
        known.remember(each, Paged().read(each))
    assert known.longest([*a, 1]) is not None
    known.remember(c, Paged().read(c))
    assert [known.longest([*each, 1]) is None for each in (a, b, c)] == [False, True, False]
    long = text(9, 32 * 6)
    known.remember(long, Paged().read(long))
    assert known.longest([*long, 1]) is None
    assert known.nbytes == 40


def test_scopes_share_nothing_and_one_may_push_another_out() -> None:
    known: PrefixCache[Paged] = PrefixCache(50)
    tokens = text(1, 64)
    known.remember(tokens, Paged().read(tokens), "a")
    assert known.longest([*tokens, 1]) is None
    assert known.longest([*tokens, 1], "b") is None
    found = known.longest([*tokens, 1], "a")
    assert found is not None
    assert found.tokens == tokens
    known.remember(tokens, Paged().read(tokens), "b")
    assert (len(known), known.nbytes) == (2, 40)
    known.remember(text(2, 32), Paged().read(text(2, 32)), "b")
    known.remember(text(3, 32), Paged().read(text(3, 32)), "b")
    assert known.longest([*tokens, 1], "a") is None
    assert known.longest([*tokens, 1], "b") is not None
    known.clear()
    assert (known.nbytes, known._root.children, known._parts) == (0, {}, {})


class Histories(RuleBasedStateMachine):
    """Any order of texts with common beginnings, within a budget."""

    def __init__(self) -> None:
        super().__init__()
        self.known: PrefixCache[Paged] = PrefixCache(120)
        self.running: list[Paged] = []

    @rule(
        turns=strategies.lists(strategies.integers(0, 2), max_size=6),
        tail=strategies.integers(1, 40),
        scope=strategies.sampled_from(["", "a"]),
    )
    def ask(self, turns: list[int], tail: int, scope: str) -> None:
        tokens = [t for turn in turns for t in text(turn, 24)] + text(7, tail)
        past = self.known.longest(tokens, scope) or Paged(scope=scope)
        assert past.tokens == tokens[: past.length]
        assert past.scope == scope
        assert past.length < len(tokens)
        assert past.length % PAGE == 0
        past.read(tokens[past.length :])
        self.known.remember(tokens, past, scope)
        self.running.append(past)

    @invariant()
    def what_is_held_is_what_is_counted(self) -> None:
        held = {page for past in self.known._pasts for page in past.cache.pages}
        assert self.known.nbytes == 10 * len(held) <= 120
        for past in list(self.known._pasts):
            found = self.known.longest([*past.cache.tokens, 1], past.cache.scope)
            assert found is not None
            assert found.tokens == past.cache.tokens

    def teardown(self) -> None:
        self.known.clear()
        assert self.known.nbytes == 0
        assert not self.known._root.children
        assert not self.known._parts


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestHistories = Histories.TestCase


def ask(prompt: Sequence[int], max_tokens: int = 6, scope: str = "") -> TokenRequest:
    return TokenRequest(tuple(prompt), max_tokens, Decoding(temperature=0.0), scope=scope)


def make(model: Autoregressive, *asked: TokenRequest) -> list[tuple[int, ...]]:
    progresses = [model.begin(each, torch.Generator()) for each in asked]
    for _ in steps(model, progresses):
        pass
    return [model.finish(progress).tokens for progress in progresses]


def counted(model: Autoregressive) -> list[int]:
    """How many tokens each step of the network reads from now on."""
    seen, step = list[int](), model.network.step

    def counting(pieces: Sequence[Piece[Any]]) -> list[Tensor]:
        seen.append(sum(len(piece.tokens) for piece in pieces))
        return step(pieces)

    model.network.step = counting  # type: ignore[method-assign]
    return seen


def test_a_model_reads_a_common_beginning_once_and_says_the_same() -> None:
    network = load_decoder(reference.checkpoint(reference.make("qwen3")))
    plain, model = Autoregressive(network), Autoregressive(network, PrefixCache(10_000_000))
    system = [1 + t % 90 for t in text(3, 40)]
    asked = [ask([*system, 5, 6, 7]), ask([*system, 8, 9]), ask(system)]
    expected = [make(plain, each)[0] for each in asked]
    seen = counted(model)
    assert [make(model, each)[0] for each in asked] == expected
    assert seen[0::6] == [43, 42 - 32, 40 - 32]
    # Two that begin together read on from what is known by then; an answer is a beginning too.
    follow = ask([*system, 5, 6, 7, *expected[0], 50, 51], max_tokens=2)
    want = make(plain, follow)
    del seen[:]
    assert make(model, follow) == want
    assert seen[0] == len(follow.prompt) - 32


def test_prompts_of_two_scopes_are_never_read_together_and_what_is_known_is_told() -> None:
    network = load_decoder(reference.checkpoint(reference.make("qwen3")))
    model = Autoregressive(network, PrefixCache(10_000_000))
    prompt = [1 + t % 90 for t in text(3, 40)]

    def begun(*scopes: str) -> list[Any]:
        return [model.begin(ask(prompt, 1, scope), torch.Generator()) for scope in scopes]

    seen = counted(model)
    progresses = begun("a", "a", "b")
    model.advance(progresses, [40, 40, 40])
    assert seen == [80]
    assert [model.finish(each).known for each in progresses] == [0, 0, 0]
    del seen[:]
    progresses = begun("a", "b", "c")
    assert [each.demand for each in progresses] == [8, 8, 40]
    model.advance(progresses, [8, 8, 40])
    samples = [model.finish(each) for each in progresses]
    assert seen == [56]
    assert [each.known for each in samples] == [32, 32, 0]
    assert samples[0].tokens == samples[1].tokens == samples[2].tokens
    beams = replace(ask(prompt, 2, "a"), decoding=Decoding(beams=2))
    searched = model.begin(beams, torch.Generator())
    for _ in steps(model, [searched]):
        pass
    assert model.finish(searched).known == 32


def test_one_that_is_waiting_goes_on_from_what_another_has_read() -> None:
    network = load_decoder(reference.checkpoint(reference.make("qwen3")))
    model = Autoregressive(network, PrefixCache(10_000_000))
    prompt = [1 + t % 90 for t in text(3, 50)]
    first, second = (model.begin(ask(prompt), torch.Generator()) for _ in range(2))
    assert model.advance([first, second], [40, 8]) == {}
    assert model.advance([first], [10]) == {}
    seen = counted(model)
    assert second.demand == 42
    assert first.sample().known == 0
    assert model.advance([second], [42]) == {}
    assert seen == [18]
    assert second.preview() == first.preview()
    assert second.sample().known == 24  # it had read eight by itself, and 32 were known


def test_the_past_of_one_that_failed_is_not_kept() -> None:
    network = load_decoder(reference.checkpoint(reference.make("qwen3")))
    model = Autoregressive(network, PrefixCache(10_000_000))
    assert model.prefix is not None
    with torch.no_grad():
        saved = network.norm.weight.clone()
        network.norm.weight.fill_(float("nan"))
    with pytest.raises(StudioloError, match="nan"):
        make(model, ask([5] * 40))
    assert len(model.prefix) == 0
    with torch.no_grad():
        network.norm.weight.copy_(saved)
    make(model, ask([5] * 40))
    assert len(model.prefix) == 1
