"""Vectors of texts as people get them; the catalogue's encoder beside ``transformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import studiolo
from studiolo.bundle.layout import load_encoder
from studiolo.bundle.opening import OpenBundle
from studiolo.errors import ContextOverflowError, InvalidRequestError, UnsupportedModelError
from studiolo.family.encoder import TextEncoder
from tests.texts import real_texts

SCRIPTS = [
    "A cat sits on the mat.",
    "Die Katze saß auf der Matte; äöüß ẞ.",
    "Кошка сидит на коврике.",
    "猫が敷物の上に座っている。",
    "고양이가 매트 위에 앉아 있다",
    "القطة تجلس على السجادة",
    "בחצר יש חתול",
    "बिल्ली चटाई पर बैठी है",
    "แมวนั่งอยู่บนเสื่อ",
    "🐈‍⬛ on a 🧶, naïve café — “quoted”… ½ ∑ ∞",
    "[CLS] written [SEP] by hand [PAD] [MASK]",
    "a\x00b\ud800c\u200d\u2028d",
    "x" * 150,
    "e\u0301" * 40,
    " \t\n ",
    "",
]


@pytest.fixture(scope="module")
def model(encoder: Path) -> studiolo.EmbeddingModel:
    return studiolo.load_encoder(encoder, device="cpu")


@pytest.fixture(scope="module")
def exact(model: studiolo.EmbeddingModel) -> studiolo.EmbeddingModel:
    """The same model on the float32 network, whatever network `load_encoder` chooses."""
    opened = OpenBundle.of(model.bundle)
    network = load_encoder(opened.checkpoint, opened.sentence)
    return studiolo.EmbeddingModel(model.bundle, model.tokenizer, TextEncoder(network))


@pytest.fixture(scope="module")
def small(tiny_encoder: str) -> studiolo.EmbeddingModel:
    return studiolo.load_encoder(tiny_encoder, device="cpu")


def sentences() -> list[str]:
    """Every length up to the limit: the openings of real texts, word by word longer."""
    words = [text.split() for text in real_texts(12)]
    return [" ".join(words[n % 12][: n + 1]) for n in range(0, 130, 2)]


def reference(path: Path, texts: list[str]) -> Tensor:
    """What sentence-transformers computes: BertModel, the mean over real tokens, length 1."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    bert = AutoModel.from_pretrained(path, attn_implementation="eager").eval()
    # As the library does before encoding: a lone surrogate is no text.
    clean = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    vectors = []
    with torch.no_grad():
        for start in range(0, len(clean), 16):
            batch = tokenizer(
                clean[start : start + 16],
                padding=True,
                truncation=True,
                max_length=256,
                split_special_tokens=True,
                return_tensors="pt",
            )
            mask = batch["attention_mask"].unsqueeze(-1)
            states = bert(**batch).last_hidden_state
            vectors.append(F.normalize((states * mask).sum(1) / mask.sum(1), dim=1))
    return torch.cat(vectors)


def test_the_catalogues_encoder_equals_the_reference(
    model: studiolo.EmbeddingModel, exact: studiolo.EmbeddingModel, encoder: Path
) -> None:
    texts = sentences() + SCRIPTS
    expected = reference(encoder, texts)
    ours = model.embed(texts, truncate=True)
    assert (ours * expected).sum(1).min() > 1 - 1e-3
    assert (exact.embed(texts, truncate=True) * expected).sum(1).min() > 1 - 1e-6
    assert (ours.norm(dim=1) - 1).abs().max() < 1e-6
    lengths = {len(ids) for ids in model.encode(texts, truncate=True)}
    assert len(lengths) > 60
    assert 2 in lengths
    assert 256 in lengths


def test_truncating_keeps_what_the_reference_keeps(
    exact: studiolo.EmbeddingModel, encoder: Path
) -> None:
    texts = real_texts(4)
    assert all(len(exact.tokenizer.encode(text)) > 256 for text in texts)
    ours = exact.embed(texts, truncate=True)
    assert (ours * reference(encoder, texts)).sum(1).min() > 1 - 1e-6


def test_order_is_kept_and_neighbours_change_nothing(model: studiolo.EmbeddingModel) -> None:
    texts = model.encode([*sentences()[::-3], "one more"], truncate=True)
    together = model.embed(texts)
    alone = torch.cat([model.embed([text]) for text in texts])
    assert (together - alone).abs().max() < 1e-6
    backwards = model.embed(texts[::-1])
    assert (together - backwards.flip(0)).abs().max() < 1e-6
    assert (together - backwards).abs().max() > 0.01  # another order would have been seen


def test_alike_is_near(model: studiolo.EmbeddingModel) -> None:
    assert (model.name, model.width, model.max_tokens) == ("all-minilm-l6-v2", 384, 256)
    v = model.embed(["A cat sits there.", "A kitten is sitting.", "Bond yields fell."])
    assert v[0] @ v[1] > 0.5 > 0.2 > v[0] @ v[2]


def test_shapes(small: studiolo.EmbeddingModel) -> None:
    assert small.embed([]).shape == (0, 32)
    assert small.embed("one text").shape == (1, 32)
    assert small.embed([""]).shape == (1, 32)
    assert bool(small.embed([""]).isfinite().all())
    assert small.embed(("a", "b")).dtype == torch.float32
    assert torch.equal(small.embed(small.encode(["a", "bc"])), small.embed(["a", "bc"]))


def test_progress_is_reported_to_the_end(small: studiolo.EmbeddingModel) -> None:
    seen: list[int] = []
    small.embed(["a" * (i % 20) for i in range(400)], report=seen.append)
    assert seen == sorted(set(seen))
    assert len(seen) > 1
    assert seen[-1] == 400


def test_a_long_text_names_the_limit_and_the_excess(small: studiolo.EmbeddingModel) -> None:
    with pytest.raises(
        ContextOverflowError, match=r"texts\[1\]: 32 tokens.*24 \(8 too many\)"
    ) as e:
        small.embed(["ok", "x" * 30])
    assert (e.value.needed, e.value.limit) == (32, 24)
    assert "truncate=True" in (e.value.remedy or "")
    (ids,) = small.encode(["abc" * 10], truncate=True)
    whole = small.tokenizer.encode("abc" * 10)
    assert list(ids) == [*whole[:23], whole[-1]]
    with pytest.raises(ContextOverflowError, match="25 tokens"):
        small.embed([[1] * 25], truncate=True)  # ids have no end that we may know


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        (5, "texts"),
        (None, "texts"),
        (b"bytes", "texts"),
        ({"a": 1}, "texts"),
        ({"a", "b"}, "texts"),
        ((t for t in "ab"), "texts"),
        ([5], r"texts\[0\]"),
        (["a", None], r"texts\[1\]"),
        (["a", b"b"], r"texts\[1\]"),
        (["a", []], r"texts\[1\]"),
        ([[1, 10**9]], r"texts\[0\]"),
        ([[1, -1]], r"texts\[0\]"),
        ([[1.5]], r"texts\[0\]"),
        ([["a"]], r"texts\[0\]"),
    ],
    ids=repr,
)
def test_what_is_no_text_is_named(small: studiolo.EmbeddingModel, texts: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{field}: "):
        small.embed(texts)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(st.characters(), max_size=30), max_size=6))
def test_any_text_gets_a_vector_or_a_named_error(
    small: studiolo.EmbeddingModel, texts: list[str]
) -> None:
    vectors = small.embed(texts, truncate=True)
    assert vectors.shape == (len(texts), 32)
    assert bool(((vectors.norm(dim=1) - 1).abs() < 1e-5).all())
    counts = [len(small.tokenizer.encode(text)) for text in texts]
    if max(counts, default=0) > small.max_tokens:
        with pytest.raises(ContextOverflowError):
            small.embed(texts)


def test_a_language_model_makes_no_vectors(starter: Path, tiny: str, encoder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="makes text, not embedding"):
        studiolo.load_encoder(starter, device="cpu")
    with pytest.raises(UnsupportedModelError, match="'llama' is not supported as an encoder"):
        studiolo.load_encoder(tiny, device="cpu")
    with pytest.raises(UnsupportedModelError, match="makes embedding, not text"):
        studiolo.load(encoder, device="cpu")


def test_in_one_call(tiny_encoder: str, small: studiolo.EmbeddingModel) -> None:
    made = studiolo.embed(["a", "x" * 40], model=tiny_encoder, truncate=True, device="cpu")
    assert torch.equal(made, small.embed(["a", "x" * 40], truncate=True))
