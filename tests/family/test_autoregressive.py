"""The autoregressive family: the contract, decoding against definitions, and the reference."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from studiolo.bundle.layout import load_decoder
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import open_installed
from studiolo.errors import ContextOverflowError, InvalidRequestError, StudioloError
from studiolo.family.autoregressive import Autoregressive, TokenRequest, TokenSample
from studiolo.family.contract import HasLikelihood
from studiolo.nn.decoder import Decoder
from studiolo.nn.network import Piece
from studiolo.runtime.loop import steps
from studiolo.sampler.settings import Decoding
from tests import reference
from tests.texts import real_texts


def model(name: str = "llama", seed: int = 0) -> Autoregressive:
    return Autoregressive(load_decoder(reference.checkpoint(reference.make(name, seed))))


def request(*prompt: int, max_tokens: int = 8, best: int = 1, **decoding: object) -> TokenRequest:
    settings = Decoding.checked(**decoding)
    return TokenRequest(tuple(prompt), max_tokens, settings, best=best)


def make(lm: Autoregressive, *requests: TokenRequest, seed: int = 0) -> list[TokenSample]:
    progresses = [lm.begin(r, torch.Generator().manual_seed(seed)) for r in requests]
    for _ in steps(lm, progresses):
        pass
    return [lm.finish(p) for p in progresses]


@pytest.mark.parametrize("name", ["gpt2", "smollm2", "qwen3", "gemma3"])
def test_greedy_equals_the_reference(name: str) -> None:
    hf = reference.make(name)
    ids = torch.tensor([[5, 6, 7]])
    settings = GenerationConfig(max_new_tokens=30, do_sample=False, eos_token_id=None)
    expected = hf.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    sample = make(model(name), request(5, 6, 7, max_tokens=30, temperature=0.0))[0]
    assert list(sample.tokens) == expected[0, 3:].tolist()
    assert sample.finish_reason == "length"


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_beam_search_equals_the_reference(length_penalty: float) -> None:
    hf = reference.make("llama")
    ids = torch.tensor([[5, 6, 7]])
    settings = GenerationConfig(
        max_new_tokens=12,
        num_beams=4,
        num_return_sequences=3,
        do_sample=False,
        early_stopping="never",
        length_penalty=length_penalty,
        eos_token_id=11,
        pad_token_id=0,
    )
    expected = hf.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    asked = TokenRequest(
        (5, 6, 7),
        12,
        Decoding.checked(beams=4, length_penalty=length_penalty),
        stop_ids=frozenset({11}),
        best=3,
    )
    best = make(model(), asked)[0]
    found = [list(s.tokens) for s in (best, *best.alternatives)]
    want = [list(itertools.takewhile(lambda t: t != 11, row[3:].tolist())) for row in expected]
    assert found == want


def test_a_wide_beam_equals_exhaustive_search_through_the_model() -> None:
    hf_config = {**reference.MODELS["llama"], "vocab_size": 5, "pad_token_id": 0}
    reference.MODELS["five"] = hf_config
    try:
        lm = model("five")
    finally:
        del reference.MODELS["five"]
    length = 3

    def log_prob(tokens: Sequence[int]) -> float:
        scored = lm.log_likelihood(torch.tensor([1, *tokens]))
        return float(scored.double().sum())

    every = sorted(itertools.product(range(5), repeat=length), key=log_prob, reverse=True)
    best = make(lm, request(1, max_tokens=length, beams=25, best=5))[0]
    found = [s.tokens for s in (best, *best.alternatives)]
    assert found == every[:5]
    assert best.score == pytest.approx(log_prob(best.tokens) / length, abs=1e-5)


def test_neighbours_do_not_change_what_a_sequence_draws() -> None:
    lm = model("qwen2")
    asked = [
        request(5, 6, 7, max_tokens=20),
        request(9, max_tokens=11, temperature=0.7, top_p=0.9),
        request(*range(3, 30), max_tokens=15, temperature=0.0),
        request(4, 4, max_tokens=6, beams=3),
        request(5, 6, 7, max_tokens=20),
    ]
    together = make(lm, *asked, seed=3)
    alone = [make(lm, each, seed=3)[0] for each in asked]
    assert [t.tokens for t in together] == [a.tokens for a in alone]
    assert together[0].tokens == together[4].tokens


def test_a_prompt_may_be_read_in_any_parts_beside_others() -> None:
    lm = model("gemma3")
    asked = [
        request(*range(3, 40), max_tokens=9, temperature=0.0),
        request(*range(3, 40), max_tokens=9, temperature=0.0),
        request(*range(30, 41), *range(14, 40), max_tokens=9, temperature=0.0),
        request(4, 4, 9, 9, max_tokens=9, beams=3),
        request(5, max_tokens=20, temperature=0.0),
    ]
    alone = [make(lm, each)[0].tokens for each in asked]
    for seed in range(4):
        rng = random.Random(seed)
        progresses = [lm.begin(each, torch.Generator()) for each in asked]
        while live := [p for p in progresses if not p.done]:
            grants = [rng.randint(p.least, min(p.demand, p.least + 10)) for p in live]
            assert lm.advance(live, grants) == {}
        assert [lm.finish(p).tokens for p in progresses] == alone


def test_equal_prompts_are_read_once_and_only_as_far_as_they_are_equal() -> None:
    lm = model()
    seen: list[int] = []
    step = lm.network.step

    def counting(pieces: Sequence[Piece[Any]]) -> list[Tensor]:
        seen.append(sum(len(piece.tokens) for piece in pieces))
        return step(pieces)

    lm.network.step = counting  # type: ignore[method-assign]
    same, other = request(5, 6, 7, 8, 9, max_tokens=4), request(9, 9, 7, 8, 9, max_tokens=4)
    progresses = [lm.begin(each, torch.Generator()) for each in (same, same, other)]
    for grants in ([2, 2, 2], [3, 2, 3]):
        lm.advance(progresses, grants)
    assert seen == [4, 8]
    assert [p.demand for p in progresses] == [1, 1, 1]


def test_one_that_cannot_choose_fails_alone() -> None:
    lm = model()
    asked = [request(5, max_tokens=6, temperature=0.0), request(6, max_tokens=6, temperature=0.0)]
    alone = make(lm, asked[1])[0]
    step = lm.network.step

    def poisoned(pieces: Sequence[Piece[Any]]) -> list[Tensor]:
        scores = step(pieces)
        scores[0].fill_(float("nan"))
        return scores

    lm.network.step = poisoned  # type: ignore[method-assign]
    progresses = [lm.begin(each, torch.Generator()) for each in asked]
    failed = lm.advance(progresses, [1, 1])
    assert list(failed) == [0]
    assert "nan" in str(failed[0])
    lm.network.step = step  # type: ignore[method-assign]
    for _ in steps(lm, progresses[1:]):
        pass
    assert lm.finish(progresses[1]) == alone


def test_what_a_request_may_hold_is_never_less_than_what_it_holds() -> None:
    lm = model()
    for asked in (request(5, max_tokens=63), request(*[5] * 50, max_tokens=10, beams=4)):
        progress = lm.begin(asked, torch.Generator())
        most = 0
        for _ in steps(lm, [progress]):
            most = max(most, sum(sum(row.cache.parts.values()) for row in progress.rows))
        assert 0 < most <= lm.weigh(asked)


def test_a_seed_decides_the_draw() -> None:
    lm = model()
    draws = {make(lm, request(5, max_tokens=12), seed=s)[0].tokens for s in range(8)}
    assert len(draws) == 8
    assert make(lm, request(5, max_tokens=12), seed=3) == make(
        lm, request(5, max_tokens=12), seed=3
    )


def test_an_end_token_ends_and_is_not_part_of_the_sample() -> None:
    lm = model()
    free = make(lm, request(5, 6, max_tokens=10, temperature=0.0))[0].tokens
    stop = free[4]
    ended = TokenRequest((5, 6), 10, Decoding(temperature=0), stop_ids=frozenset({stop}))
    sample = make(lm, ended)[0]
    assert sample.tokens == free[: free.index(stop)]
    assert sample.finish_reason == "stop"


def test_log_probs_are_the_models_own_whatever_the_strategy() -> None:
    lm = model()
    asked = TokenRequest((5, 6), 6, Decoding(temperature=0.3, top_k=3), log_probs=4)
    sample = make(lm, asked)[0]
    assert sample.choices is not None
    scored = lm.log_likelihood(torch.tensor([5, 6, *sample.tokens]))[1:]
    for choice, token, expected in zip(sample.choices, sample.tokens, scored, strict=True):
        assert choice.id == token
        assert choice.log_prob == pytest.approx(float(expected), abs=1e-4)
        assert len(choice.top) == 4
        assert [p for _, p in choice.top] == sorted((p for _, p in choice.top), reverse=True)
        assert choice.log_prob <= choice.top[0][1] + 1e-6


def test_a_progress_can_be_looked_at_and_cut_short() -> None:
    lm = model()
    progress = lm.begin(request(5, max_tokens=50), torch.Generator().manual_seed(0))
    running = steps(lm, [progress])
    for _ in range(3):
        next(running)
    running.close()
    sample = lm.finish(progress)
    assert len(sample.tokens) == 3 == len(progress.preview())
    assert sample.finish_reason == "cancelled"
    beams = lm.begin(request(5, max_tokens=50, beams=2), torch.Generator())
    assert lm.finish(beams) == TokenSample((), "cancelled")
    next(steps(lm, [beams]))
    assert lm.finish(beams).finish_reason == "cancelled"
    assert len(beams.preview()) == 1


def test_likelihood_and_loss_agree_and_padding_is_left_out() -> None:
    lm = model("gemma3")
    assert isinstance(lm, HasLikelihood)
    ids = torch.randint(3, 97, (2, 20), generator=torch.Generator().manual_seed(2))
    rows = [lm.log_likelihood(row) for row in ids]
    whole = lm.loss(ids).total
    assert float(whole) == pytest.approx(-float(torch.cat(rows).mean()), abs=1e-5)
    ids[1, 12:] = -1
    part = lm.loss(ids).total
    assert float(part) == pytest.approx(-float(torch.cat([rows[0], rows[1][:11]]).mean()), abs=1e-5)


@pytest.mark.parametrize("batch", [[[5]], [[-1, -1]], [[5, -1], [-1, 6]]])
def test_a_loss_needs_something_to_predict(batch: list[list[int]]) -> None:
    with pytest.raises(InvalidRequestError, match="nothing to predict"):
        model().loss(torch.tensor(batch))


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "qwen3"])
def test_scoring_in_chunks_is_scoring_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model(name)
    ids = torch.randint(3, 97, (50,), generator=torch.Generator().manual_seed(4))
    whole = lm.log_likelihood(ids)
    for chunk, reports in ((49, [49]), (16, [16, 32, 48, 49]), (1, list(range(1, 50)))):
        monkeypatch.setattr("studiolo.family.autoregressive.CHUNK", chunk)
        told: list[int] = []
        assert torch.allclose(lm.log_likelihood(ids, told.append), whole, atol=1e-5)
        assert told == reports
    assert lm.log_likelihood(ids[:1]).shape == (0,)


def test_next_log_probs_are_a_distribution() -> None:
    log_probs = model().next_log_probs([5, 6])
    assert log_probs.shape == (97,)
    assert float(log_probs.exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request(max_tokens=1), "prompt"),
        (request(97), "prompt"),
        (request(-1), "prompt"),
        (request(5, max_tokens=0), "max_tokens"),
        (request(5, logit_bias={97: 1.0}), "logit_bias"),
    ],
)
def test_bad_requests_name_the_field(asked: TokenRequest, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        model().begin(asked, torch.Generator())
    assert caught.value.field == field


def test_too_much_for_the_context_names_both_numbers() -> None:
    lm = model()
    lm.begin(request(*[5] * 60, max_tokens=4), torch.Generator())
    with pytest.raises(ContextOverflowError, match=r"65 tokens are needed.*holds 64") as caught:
        lm.begin(request(*[5] * 60, max_tokens=5), torch.Generator())
    assert caught.value.field == "max_tokens"
    assert "After a prompt of 60 tokens, 4 fit" in (caught.value.remedy or "")
    with pytest.raises(ContextOverflowError) as caught:
        lm.begin(request(*[5] * 64, max_tokens=1), torch.Generator())
    assert caught.value.field == "prompt"
    with pytest.raises(ContextOverflowError):
        lm.log_likelihood(torch.full((66,), 5))


@pytest.mark.parametrize("token", [-1, 97])
def test_a_token_that_is_none_cannot_be_scored(token: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"text: token {token} is outside"):
        model().log_likelihood(torch.tensor([5, token, 6]))


def test_broken_weights_are_reported_and_not_drawn_from() -> None:
    lm = model()
    assert isinstance(lm.network, Decoder)
    with torch.no_grad():
        lm.network.norm.weight.fill_(float("nan"))
    with pytest.raises(StudioloError, match="nan"):
        make(lm, request(5))


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_starter_parity(proof, starter, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The starter equals `transformers` on the same weights, over real texts of 256 tokens."""
    from transformers import AutoModelForCausalLM

    texts = proof("starter-parity", short=2, full=20)
    opened = OpenBundle.of(open_installed(starter))
    opened.save(tmp_path / "hf")
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32).eval()
    decoder = load_decoder(opened.checkpoint)
    leads = 0
    for text in real_texts(texts):
        ids = torch.tensor([opened.tokenizer.encode(text)[:256]])
        assert ids.shape[1] == 256
        with torch.inference_mode():
            expected: Tensor = hf(ids).logits[0]
            ours = decoder.logits(decoder(ids))[0]
        assert (ours - expected).abs().max() < 1e-3
        top = expected.log_softmax(-1).topk(2)
        clear = top.values[:, 0] - top.values[:, 1] > 1e-3
        leads += int(clear.sum())
        assert torch.equal(ours.argmax(-1)[clear], top.indices[clear, 0])
    assert leads > 200 * texts
