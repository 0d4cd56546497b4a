from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from bench.quality import Quality, Tally, measured, prose_of, shown, windows
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import find
from studiolo.errors import InvalidRequestError


def test_windows_score_as_many_tokens_as_asked_each_once() -> None:
    ids = list(range(100))
    assert windows(ids, [], tokens=10, length=6) == [ids[:6], ids[6:12]]
    assert windows(ids, [7], tokens=10, length=6) == [[7, *ids[:5]], [7, *ids[5:10]]]
    with pytest.raises(InvalidRequestError, match="102 of 100"):
        windows(ids, [], tokens=81, length=6)


def test_a_reference_beside_itself_loses_nothing() -> None:
    scores = torch.randn(100, 50, generator=torch.Generator().manual_seed(0))
    tally = Tally()
    tally.add(scores, scores, torch.arange(100) % 50)
    found = tally.quality()
    assert (found.tokens, found.change, found.divergence, found.same) == (100, 0.0, 0.0, 1.0)


def test_perplexity_and_divergence_of_a_closed_form() -> None:
    even, sure = torch.zeros(70, 4), torch.tensor([[math.log(3), 0.0, 0.0, 0.0]]).expand(70, 4)
    tally = Tally()
    tally.add(even, sure, torch.zeros(70, dtype=torch.int64))
    found = tally.quality()
    assert found.perplexity == pytest.approx(2)  # a half of 3 + 1 + 1 + 1
    assert found.change == pytest.approx(2 / 4 - 1)
    expected = 0.25 * (math.log(0.25 / 0.5) + 3 * math.log(0.25 / (1 / 6)))
    assert found.divergence == pytest.approx(expected)


def test_packed_arithmetic_is_measured_against_floats(tiny: str) -> None:
    bundle = find(Path(tiny))
    assert bundle is not None
    texts = [[1, 2, 3, 4, 5, 6], [3, 1, 4, 1, 5, 2]]
    found = measured(OpenBundle.of(bundle), "file", texts, skipped=1, threads=1, llama=True)
    assert list(found) == ["float32", "packed"]  # llama.cpp reads GGUF alone
    assert found["float32"].tokens == 10
    assert 0 < found["packed"].divergence < 1e-2


def test_the_table_shows_changes_of_all_but_the_reference() -> None:
    quality = Quality(10, 12.5, 0.001, 2e-6, 0.99)
    table = shown({"file": {"float32": quality, "packed": quality}}, "a title")
    assert list(table.columns[3].cells) == ["", "+0.1000%"]


def test_prose_is_a_file_or_docstrings(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("prose", encoding="utf-8")
    assert prose_of(tmp_path / "a.txt") == "prose"
    assert len(prose_of(None)) > 100_000
    with pytest.raises(InvalidRequestError, match="there is no file"):
        prose_of(tmp_path / "b.txt")
