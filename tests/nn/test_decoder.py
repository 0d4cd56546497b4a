"""The decoder against ``transformers`` on shared random weights: logits and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studiolo.bundle.layout import load_decoder
from studiolo.nn.decoder import Decoder
from studiolo.nn.network import Piece
from tests import reference
from tests.nn.packs import merged, random_adapter

LENGTH = 40  # past every sliding window (7) and every original context (16) of the models


def tokens(batch: int = 2, length: int = LENGTH) -> Tensor:
    return torch.randint(3, 97, (batch, length), generator=torch.Generator().manual_seed(1))


def by_token(decoder: Decoder, ids: Tensor, prefill: int) -> Tensor:
    """Logits of one sequence: a prefill, then token by token through the cache."""
    cache = decoder.new_cache()
    rows = [decoder(ids[None, :prefill], caches=[cache])]
    rows += [decoder(ids[None, i : i + 1], caches=[cache]) for i in range(prefill, len(ids))]
    return decoder.logits(torch.cat(rows, dim=1))[0]


@pytest.mark.parametrize("name", reference.MODELS)
def test_prefill_equals_the_reference(name: str) -> None:
    model = reference.make(name)
    decoder = load_decoder(reference.checkpoint(model))
    ids = tokens()
    with torch.no_grad():
        expected = model(ids).logits
        ours = decoder.logits(decoder(ids))
    assert (ours - expected).abs().max() < 1e-4
    assert expected.abs().max() > 0.5  # the comparison is not one of zeros


@pytest.mark.parametrize("name", reference.MODELS)
def test_decoding_token_by_token_equals_the_reference(name: str) -> None:
    """Stretched angles depend on the length of the moment, so the reference decodes as well."""
    model = reference.make(name)
    decoder = load_decoder(reference.checkpoint(model))
    ids = tokens(1)[0]
    with torch.no_grad():
        past, rows = None, []
        for piece in [ids[None, :5], *torch.split(ids[None, 5:], 1, dim=1)]:
            out = model(piece, cache=past, use_cache=True)
            past = out.cache
            rows.append(out.logits)
        expected = torch.cat(rows, dim=1)[0]
    assert (by_token(decoder, ids, 5) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", reference.MODELS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(name: str, side: str) -> None:
    model = reference.make(name)
    decoder = load_decoder(reference.checkpoint(model))
    ids = tokens(2, 24)
    real = torch.ones_like(ids, dtype=torch.bool)
    padded = slice(0, 9) if side == "left" else slice(15, 24)
    real[1, padded] = False
    ids[1, padded] = 0
    positions = (real.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = model(ids, attention_mask=real.long(), position_ids=positions).logits
        ours = decoder.logits(decoder(ids, real=real))
        alone = decoder.logits(decoder(ids[1:][:, real[1]]))
    if "dynamic" not in name and "longrope" not in name:  # the reference mixes rows' lengths there
        assert (ours - expected)[real].abs().max() < 1e-4
    assert (ours[1, real[1]] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("name", reference.MODELS)
def test_gradients_equal_the_reference(name: str) -> None:
    model = reference.make(name)
    decoder = load_decoder(reference.checkpoint(model)).requires_grad_(True)
    ids = tokens()

    def loss(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    torch.autograd.backward(loss(model(ids).logits))
    torch.autograd.backward(loss(decoder.logits(decoder(ids))))
    from studiolo.bundle.layout.tensors import parts

    ours = {k: p.grad for k, p in decoder.named_parameters()}
    theirs = {k: p.grad for k, p in model.named_parameters()}
    compared = 0
    for part in parts(decoder.config):
        grad = ours[part.ours]
        assert grad is not None
        expected = torch.cat([theirs[n] for n in part.theirs])
        expected = expected.T if part.transposed else expected
        assert (grad - expected).abs().max() < 1e-4, part.ours
        compared += 1
    assert compared == len(ours)


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "gemma3", "llama-dynamic"])
def test_sequences_of_different_lengths_decode_together(name: str) -> None:
    decoder = load_decoder(reference.checkpoint(reference.make(name)))
    ids = tokens(3)
    lengths = [3, 20, 11]
    caches = [decoder.new_cache() for _ in lengths]
    for row, length, cache in zip(ids, lengths, caches, strict=True):
        decoder(row[None, :length], caches=[cache])
    for step in range(5):
        new = torch.stack([row[n + step] for row, n in zip(ids, lengths, strict=True)])
        together = decoder.logits(decoder(new[:, None], caches=caches))[:, 0]
        for row, length, got in zip(ids, lengths, together, strict=True):
            alone = by_token(decoder, row[: length + step + 1], length)[-1]
            assert (got - alone).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "llama-biased-untied", "qwen2", "gemma3"])
def test_each_sequence_is_read_with_its_own_adapter(name: str) -> None:
    """As by weights to which its products are added; others, and those without, do not see them."""
    decoder = load_decoder(reference.checkpoint(reference.make(name)))
    adapters = [random_adapter(decoder.config, seed) for seed in (1, 2)]
    one, two = (decoder.adapt(each) for each in adapters)
    exact = [decoder, *(merged(decoder, each) for each in adapters)]
    ids = tokens(6, 12)
    worn, caches = [None, one, two, one, None, two], [decoder.new_cache() for _ in ids]
    with torch.no_grad():
        expected = [
            model.logits(model(row[None]))[0]
            for row, model in zip(ids, (exact[i] for i in (0, 1, 2, 1, 0, 2)), strict=True)
        ]
        assert (expected[0] - exact[1].logits(exact[1](ids[:1]))[0]).abs().max() > 0.1
        for begin, end in ((0, 5), (5, 6), (6, 12)):
            pieces = [
                Piece(row[begin:end].tolist(), cache, end - begin, each)
                for row, cache, each in zip(ids, caches, worn, strict=True)
            ]
            for got, whole in zip(decoder.step(pieces), expected, strict=True):
                assert (got - whole[begin:end]).abs().max() < 1e-4
        assert torch.equal(decoder.logits(decoder(ids[:1]))[0], expected[0])


def test_a_chunked_prompt_equals_a_whole_one() -> None:
    for name in ("llama", "gemma3", "mistral"):
        decoder = load_decoder(reference.checkpoint(reference.make(name)))
        ids = tokens(1)
        cache = decoder.new_cache()
        pieces = [
            decoder(piece, caches=[cache]) for piece in torch.split(ids, [6, 1, 13, 20], dim=1)
        ]
        whole = decoder(ids)
        assert (torch.cat(pieces, dim=1) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("name", reference.MODELS)
def test_the_declared_number_of_parameters_is_the_real_one(name: str) -> None:
    decoder = load_decoder(reference.checkpoint(reference.make(name)))
    assert decoder.config.parameters == sum(p.numel() for p in decoder.parameters())


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
@pytest.mark.parametrize("name", ["gpt2", "smollm2", "mistral", "qwen3", "gemma3"])
def test_bfloat16_stays_near_float32_on_every_device(name: str, device: str) -> None:
    """As loaded on a GPU: matrices in bfloat16, norms in float32; prefill, decoding, training."""
    source = reference.checkpoint(reference.make(name))
    exact = load_decoder(source)
    decoder = load_decoder(source, dtype=torch.bfloat16, device=device)
    assert decoder.dtype == torch.bfloat16
    assert decoder.norm.weight.dtype == torch.float32
    ids = tokens()
    with torch.no_grad():
        expected = exact.logits(exact(ids)).log_softmax(-1)
        whole = decoder.logits(decoder(ids.to(device))).log_softmax(-1).cpu()
        steps = by_token(decoder, ids[0].to(device), 9).log_softmax(-1).cpu()
    spread = expected.std()
    assert (whole - expected).abs().mean() < 0.05 * spread
    assert (steps - expected[0]).abs().mean() < 0.05 * spread
    decoder.requires_grad_(True)
    torch.autograd.backward(decoder.logits(decoder(ids.to(device))).logsumexp(-1).mean())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in decoder.parameters())
