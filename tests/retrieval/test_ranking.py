from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.retrieval.ranking import diverse, fused


def test_reciprocal_ranks_by_hand() -> None:
    found = fused([["a", "b"], ["b", "c"]])
    assert list(found) == ["b", "a", "c"]
    assert found["b"] == pytest.approx(61 / 2 * (1 / 62 + 1 / 61))
    assert found["a"] == pytest.approx(0.5)
    assert fused([["a"], ["a"]]) == {"a": 1.0}
    assert fused([]) == fused([[], []]) == {}


@given(st.lists(st.lists(st.integers(0, 20), unique=True), min_size=1, max_size=4))
def test_scores_fall_and_are_at_most_one(rankings: list[list[int]]) -> None:
    found = fused(rankings)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert set(found) == {key for ranking in rankings for key in ranking}
    assert all(0 < score <= 1 + 1e-9 for score in found.values())


def test_what_is_new_comes_before_the_same_again() -> None:
    vectors = {
        "a": np.array([1, 0], np.float32),
        "again": np.array([1, 0], np.float32),
        "new": np.array([0, 1], np.float32),
    }
    relevance = {"a": 1.0, "again": 0.9, "new": 0.5}
    assert diverse(relevance, vectors, 3, 0.0) == ["a", "again", "new"]
    assert diverse(relevance, vectors, 3, 0.5) == ["a", "new", "again"]
    assert diverse(relevance, vectors, 1, 0.5) == ["a"]
    assert diverse({}, {}, 3, 0.5) == []


@given(st.integers(1, 8), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_diversity_is_the_papers_formula(count: int, diversity: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((6, 3)).astype(np.float32)
    vectors = {i: row / np.linalg.norm(row) for i, row in enumerate(made)}
    relevance = {i: float(rng.random()) for i in range(6)}
    expected: list[int] = []
    while len(expected) < min(count, 6):
        expected.append(
            max(
                (i for i in range(6) if i not in expected),
                key=lambda i: (
                    (1 - diversity) * relevance[i]
                    - diversity * max([0.0, *(float(vectors[i] @ vectors[j]) for j in expected)])
                ),
            )
        )
    found = diverse(relevance, vectors, count, diversity)
    assert len(set(found)) == len(found) == min(count, 6)
    assert found[0] == expected[0]
    if 0.01 < diversity < 0.99:
        assert found == expected
