from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.guard.meaning import likeness, sentences, vectors
from tests.guard.samples import embedded


def test_sentences() -> None:
    text = "  One here. Two!\n\n---\n\nThree"
    assert [text[a:b] for a, b in sentences(text)] == ["One here.", "Two!", "Three"]


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    spans = sentences(text)
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)
    inside = {i for a, b in spans for i in range(a, b)}
    assert all(i in inside for i, each in enumerate(text) if each.isalnum())


def test_what_an_embedder_may_not_give() -> None:
    assert vectors(embedded, []).shape == (0, 1)
    assert vectors(lambda texts: [[1.0, 0.0]], ["a"]).dtype == np.float32
    for bad in ([[1.0]], [[float("nan")], [1.0]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="an embedder gave"):
            vectors(lambda texts, bad=bad: bad, ["a", "b"])  # type: ignore[misc]


def test_likeness_is_between_0_and_1() -> None:
    one = np.array([[1, 0], [0, 1]], dtype=np.float32)
    assert likeness(one, -one).tolist() == [[0, 0], [0, 0]]
    assert likeness(one, one).tolist() == [[1, 0], [0, 1]]
