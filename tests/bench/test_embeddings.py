from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.contestants import EMBEDDERS
from bench.embeddings import METRICS, cosines, prepare, run_round
from bench.measure import Standing
from bench.passages import docstrings, passages
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import find
from studiolo.errors import InvalidRequestError


def test_passages_are_real_different_and_spread(tmp_path: Path) -> None:
    found = passages(50)
    assert len(set(found)) == 50
    assert found == passages(50)
    assert len(docstrings()) > 5000
    file = tmp_path / "corpus.txt"
    file.write_text("one\n\ntwo\n\n\n\ntwo\n\nthree lines\nof it\n", encoding="utf-8")
    assert passages(2, file) == ["one", "two"]
    assert passages(3, file) == ["one", "two", "three lines\nof it"]
    with pytest.raises(InvalidRequestError, match="4 of 3"):
        passages(4, file)
    with pytest.raises(InvalidRequestError, match="there is no file"):
        passages(1, tmp_path / "nope")


def test_cosines_are_with_the_reference(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 0], [0, 1]], dtype=np.float32))
    np.save(tmp_path / "b.npy", np.array([[1, 0], [1, 0]], dtype=np.float32))
    standings = [Standing("a"), Standing("b"), Standing("absent")]
    assert cosines(tmp_path, standings, "a") == {"a": (1.0, 1.0), "b": (0.0, 0.5)}
    assert cosines(tmp_path, standings, "absent") == {}


def test_a_round_measures_every_column_and_keeps_the_vectors(
    tiny_encoder: str, tmp_path: Path
) -> None:
    bundle = find(Path(tiny_encoder))
    assert bundle is not None
    ours = EMBEDDERS[0]
    paths, missing = prepare(OpenBundle.of(bundle), [ours], tmp_path)
    assert (paths, missing) == ({"studiolo": tiny_encoder}, {})
    for name in ("warm-up", "texts"):
        (tmp_path / f"{name}.json").write_text('["one", "and another that is too long"]')
    standing = Standing("studiolo")
    values = run_round(ours, paths["studiolo"], 1, tmp_path, 2, standing)
    assert set(values) == {metric.key for metric in METRICS}
    assert min(values.values()) > 0
    assert np.load(tmp_path / "studiolo.npy").shape == (2, 32)
    assert standing.version
