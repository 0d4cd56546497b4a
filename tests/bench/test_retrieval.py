from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.retrieval import Known, corpus, hybrid, measured, ours


def test_a_small_index_is_made_and_measured(home: Path, tmp_path: Path) -> None:
    folder, known = tmp_path / "text", Known()
    folder.mkdir()
    corpus(folder, 30)
    queries = ["return the number of bytes", "open a file for reading"]
    result, index = ours(folder, known, queries)
    assert index.passages.count_rows() > 10
    assert result.index > 0
    assert 0 < result.p50 <= result.p95
    assert result.size > 0
    assert len(hybrid(index, known, queries)) == 2


def test_vectors_are_the_same_every_time() -> None:
    one = Known().embed(["wet streets", "streets wet", "sun"])
    assert np.array_equal(one, Known().embed(["wet streets", "streets wet", "sun"]))
    assert one[0] @ one[1] == pytest.approx(1, abs=1e-5)
    assert one[0] @ one[2] < 0.5


def test_every_query_is_timed() -> None:
    assert len(measured(lambda query: None, list(range(12)))) == 12
