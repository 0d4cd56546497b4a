from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.near import NearRules, bands, near, signature
from tests.training.corpus.small import document, prose


def shingles(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.lower().replace(".", " ").split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def pair(seed: int, changed: int) -> tuple[str, str, float]:
    """Two texts of which one has ``changed`` words replaced, and their exact Jaccard similarity."""
    rng = random.Random(seed)
    words = prose(seed, 20).split()
    other = list(words)
    for place in rng.sample(range(len(words)), changed):
        other[place] = f"x{rng.random()}".replace(".", "")
    a, b = shingles(" ".join(words), 5), shingles(" ".join(other), 5)
    return " ".join(words), " ".join(other), len(a & b) / len(a | b)


def test_agreement_estimates_the_jaccard_similarity() -> None:
    rules = NearRules(bands=64, rows=16)
    for seed, changed in enumerate((0, 2, 5, 10, 20, 60)):
        one, other, exact = pair(seed, changed)
        a, b = signature(one, rules), signature(other, rules)
        assert a is not None
        assert b is not None
        # 1,024 draws: four standard deviations of the estimate.
        bound = 4 * (exact * (1 - exact) / 1024) ** 0.5
        assert abs(float((a == b).mean()) - exact) <= bound


def test_documents_meet_as_often_as_the_formula_says() -> None:
    rules, tries = NearRules(bands=7, rows=4), 150
    met = expected = 0.0
    for seed in range(tries):
        one, other, exact = pair(1000 + seed, 12)
        a, b = signature(one, rules), signature(other, rules)
        assert a is not None
        assert b is not None
        met += bool(set(bands(a, rules)) & set(bands(b, rules)))
        expected += 1 - (1 - exact**rules.rows) ** rules.bands
    assert abs(met - expected) < 4 * (tries / 4) ** 0.5


def test_a_near_copy_is_dropped_and_named_and_another_text_is_not(tmp_path: Path) -> None:
    rules = NearRules()
    one, other, exact = pair(1, 2)
    assert exact > 0.85
    with Seen(tmp_path / "seen.db") as seen:
        first = document(one, "1")
        assert near(first, rules, seen, signature(one, rules)) is first
        said = near(document(other, "2"), rules, seen, signature(other, rules))
        assert isinstance(said, Dropped)
        assert said.detail.startswith("of s: 1, similarity about 0.")
        far = document(prose(77), "3")
        assert near(far, rules, seen, signature(far.text, rules)) is far
        strict = NearRules(similarity=1.0)
        kept = document(other, "4")
        assert near(kept, strict, seen, signature(other, strict)) is kept


def test_a_text_shorter_than_a_run_is_left_alone(tmp_path: Path) -> None:
    assert signature("one two three four", NearRules()) is None
    assert signature("one two three four five", NearRules()) is not None
    with Seen(tmp_path / "seen.db") as seen:
        short = document("one")
        assert near(short, NearRules(), seen, None) is short


def test_signatures_are_pinned() -> None:
    """They decide what is kept, so that they must not change unnoticed."""
    made = signature("after the rain the streets were wet", NearRules(bands=1, rows=3))
    assert made is not None
    assert made.dtype == np.uint32
    assert made.tolist() == [833169358, 700312916, 1081485649]
