"""Beam search against exhaustive search, a plain rendering of its rules, and ``transformers``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.sampler.beam import Beams, Hypothesis

Model = Callable[[Sequence[tuple[int, ...]]], Tensor]
EOS = 0


def markov(vocab_size: int, seed: int, *, ties: bool = False) -> Model:
    """Next-token log-probabilities that depend on the last token and the place.

    On the place too, since the texts 1 1 2 1 and 1 2 1 1 would otherwise be equally likely.
    """
    rng = torch.Generator().manual_seed(seed)
    table = torch.randn(8, vocab_size, vocab_size, generator=rng) * 2
    if ties:
        table = table.round()
    table = table.log_softmax(-1)

    def next_log_probs(texts: Sequence[tuple[int, ...]]) -> Tensor:
        return torch.stack([table[len(text), text[-1] if text else 0] for text in texts])

    return next_log_probs


def search(model: Model, beams: Beams) -> list[Hypothesis]:
    while not beams.done:
        before = beams.live
        parents, tokens = beams.step(model(before))
        grown = [(*before[p], t) for p, t in zip(parents, tokens, strict=True)]
        assert grown == beams.live
    return beams.results()


def log_prob(model: Model, text: tuple[int, ...]) -> float:
    return sum(float(model([text[:i]])[0, token]) for i, token in enumerate(text))


def exhaustive(
    model: Model,
    vocab_size: int,
    limit: int,
    penalty: float,
    ends: Callable[[tuple[int, ...]], bool],
) -> list[tuple[float, tuple[int, ...]]]:
    """Every text that ends, or reaches the limit, with its score; best first."""
    found = []
    for length in range(1, limit + 1):
        for text in itertools.product(range(vocab_size), repeat=length):
            ended = ends(text)
            if any(ends(text[:i]) for i in range(1, length)) or not (ended or length == limit):
                continue
            found.append((log_prob(model, text) / length**penalty, text))
    return sorted(found, key=lambda item: -item[0])


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_enough_beams_find_what_exhaustive_search_finds(penalty: float, seed: int) -> None:
    vocab_size, limit = 4, 4
    model = markov(vocab_size, seed)
    expected = exhaustive(model, vocab_size, limit, penalty, lambda text: text[-1] == EOS)
    for n in (1, 5, 64):
        found = search(model, Beams(vocab_size ** (limit - 1), penalty, {EOS}, limit, n=n))
        assert [h.tokens for h in found] == [text for _, text in expected[:n]]
        for hypothesis, (score, text) in zip(found, expected, strict=False):
            assert hypothesis.score == pytest.approx(score, abs=1e-6)
            assert hypothesis.log_prob == pytest.approx(log_prob(model, text), abs=1e-6)
            assert hypothesis.finished == (text[-1] == EOS)


@pytest.mark.parametrize("seed", range(4))
def test_a_stop_predicate_ends_texts_as_an_end_token_does(seed: int) -> None:
    model = markov(3, seed)

    def stops(text: Sequence[int]) -> bool:
        return tuple(text[-2:]) == (1, 2)

    expected = exhaustive(model, 3, 5, 1.0, lambda text: text[-1] == EOS or stops(text))
    found = search(model, Beams(81, 1.0, {EOS}, 5, stop=stops))
    assert [h.tokens for h in found] == [text for _, text in expected[:81]]
    assert all(h.finished == (h.tokens[-1] == EOS or stops(h.tokens)) for h in found)


def plain_search(
    model: Model, vocab_size: int, width: int, penalty: float, limit: int, eos: set[int]
) -> list[tuple[int, ...]]:
    """The documented rules, never stopping early and sorting everything."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    pool: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, limit + 1):
        rows = list(model([text for _, text in live])) if live else []
        ranked = sorted(
            (
                (-(total + float(row[token])), parent, -float(row[token]), token)
                for parent, ((total, _), row) in enumerate(zip(live, rows, strict=True))
                for token in range(vocab_size)
            ),
        )
        grown: list[tuple[float, tuple[int, ...]]] = []
        for rank, (minus, parent, _, token) in enumerate(ranked):
            text = (*live[parent][1], token)
            if token in eos or length == limit:
                if rank < width:
                    pool.append((-minus / length**penalty, text))
            elif len(grown) < width:
                grown.append((-minus, text))
            if len(grown) == width:
                break
        live = grown
        pool = sorted(pool, key=lambda item: -item[0])[:width]
    return [text for _, text in pool]


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    vocab_size=st.integers(2, 9),
    width=st.integers(1, 7),
    penalty=st.sampled_from([-1.0, 0.0, 0.7, 1.0, 1.5]),
    limit=st.integers(1, 7),
    eos=st.sets(st.integers(0, 8), max_size=3),
    ties=st.booleans(),
)
def test_the_exact_stop_changes_nothing(
    seed: int, vocab_size: int, width: int, penalty: float, limit: int, eos: set[int], ties: bool
) -> None:
    model = markov(vocab_size, seed, ties=ties)
    expected = plain_search(model, vocab_size, width, penalty, limit, eos)
    for n in {1, width}:
        beams = Beams(width, penalty, eos, limit, n=n)
        assert [h.tokens for h in search(model, beams)] == expected[:n]


def test_it_stops_as_soon_as_nothing_can_improve() -> None:
    # Half the mass ends at once; whatever lives on has 0.25 or less and only falls.
    rows = torch.tensor([[0.5, 0.25, 0.25]]).log()
    beams = Beams(2, 0.0, {EOS}, 100, n=1)
    beams.step(rows)
    assert beams.done
    assert [h.tokens for h in beams.results()] == [(EOS,)]
    # With two wanted, the search goes on until the second is safe.
    beams = Beams(2, 0.0, {EOS}, 100)
    beams.step(rows)
    assert not beams.done
    # A reward for length leaves the live ones hope: ln 0.25 / 100 is above ln 0.5 / 1.
    beams = Beams(2, 1.0, {EOS}, 100, n=1)
    beams.step(rows)
    assert not beams.done


def test_ties_go_to_the_better_parent_then_the_lower_id() -> None:
    beams = Beams(3, 1.0, {9}, 10)
    parents, tokens = beams.step(torch.full((1, 5), 0.2).log())
    assert (parents, tokens) == ([0, 0, 0], [0, 1, 2])
    parents, tokens = beams.step(torch.full((3, 5), 0.2).log())
    assert (parents, tokens) == ([0, 0, 0], [0, 1, 2])


def test_forbidden_tokens_are_not_taken() -> None:
    beams = Beams(3, 1.0, {9}, 10)
    row = torch.full((1, 5), -torch.inf)
    row[0, 3] = 0.0
    assert beams.step(row) == ([0], [3])
    assert beams.step(torch.full((1, 5), -torch.inf)) == ([], [])
    assert beams.done
    assert beams.results() == []


def test_results_before_the_end_show_what_lives() -> None:
    beams = Beams(2, 1.0, {EOS}, 10)
    assert beams.results() == []
    beams.step(torch.tensor([[0.5, 0.3, 0.2]]).log())
    ended, cut = beams.results()
    assert (ended.tokens, ended.finished) == ((EOS,), True)
    assert (cut.tokens, cut.finished) == ((1,), False)
    assert cut.score == pytest.approx(math.log(0.3))


def test_more_ends_than_a_head_holds_leave_others_alive() -> None:
    # Everything under 60 stops, and those are the likeliest; the beams must still fill.
    row = torch.arange(64, 0, -1).float().log_softmax(-1)[None]
    beams = Beams(3, 1.0, {EOS}, 10, stop=lambda text: text[-1] < 60)
    assert beams.step(row) == ([0, 0, 0], [60, 61, 62])
    assert [h.tokens for h in beams.results()] == [(0,), (1,), (2,)]


def test_misuse_is_named() -> None:
    for beams, max_tokens, n in ((0, 5, None), (2, 0, None), (2, 5, 0)):
        with pytest.raises(InvalidRequestError, match="0 is less than 1"):
            Beams(beams, max_tokens=max_tokens, n=n)
    with pytest.raises(InvalidRequestError, match="Set beams to at least 5"):
        Beams(4, n=5)
    with pytest.raises(StudioloError, match=r"1 live hypotheses, but .* for 2"):
        Beams(4).step(torch.zeros(2, 5))
    for bad in (math.nan, 1.0, math.inf):
        with pytest.raises(StudioloError, match="log-probabilities that are none"):
            Beams(4).step(torch.tensor([[0.0, bad]]))


@pytest.mark.parametrize("penalty", [-0.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_parity_with_transformers(penalty: float, seed: int) -> None:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=31, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2
    )
    net = GPT2LMHeadModel(config).eval()
    net.transformer.wte.weight.data *= 10
    prompt = torch.randint(3, 31, (1, 5))

    @torch.no_grad()
    def model(texts: Sequence[tuple[int, ...]]) -> Tensor:
        batch = torch.tensor([[*prompt[0].tolist(), *text] for text in texts])
        result: Tensor = net(batch).logits[:, -1].log_softmax(-1)
        return result

    out = net.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=9,
        pad_token_id=30,
        eos_token_id=[2, 7, 8],
        do_sample=False,
        num_beams=4,
        num_return_sequences=4,
        early_stopping="never",
        length_penalty=penalty,
        return_dict_in_generate=True,
        output_scores=True,
    )
    found = search(model, Beams(4, penalty, {2, 7, 8}, 9))
    for ours, ids, score in zip(found, out.sequences, out.sequences_scores, strict=True):
        theirs = ids[5:].tolist()
        assert list(ours.tokens) == theirs[: len(ours.tokens)]
        assert set(theirs[len(ours.tokens) :]) <= {30}
        assert ours.score == pytest.approx(float(score), abs=1e-4)
