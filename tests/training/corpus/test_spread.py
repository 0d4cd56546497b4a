from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.errors import MalformedFileError, MissingExtraError, SourceError
from studiolo.task.joining import join
from studiolo.training.corpus import spread as spreading
from studiolo.training.corpus.build import Build
from studiolo.training.corpus.chain import Chain
from studiolo.training.corpus.document import Dropped, Unreadable
from studiolo.training.corpus.files import File
from studiolo.training.corpus.spread import END, lines, packed, spread, unpacked
from studiolo.training.corpus.steps.near import NearRules, signature
from tests.training.corpus.small import outcome, prose, recipe, texts

pytestmark = [
    # Ray leaves sockets and log files to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # Ray Data warns of settings of its own, which nobody here has touched.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.skipif(sys.platform == "win32", reason="Ray's sockets lie elsewhere"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of this machine alone, with a worker for each core."""
    ray, leave = join()
    try:
        assert ray.cluster_resources()["CPU"] >= 2
        yield
    finally:
        leave()
        gc.collect()  # here and not in another test


def test_what_is_sent_comes_back() -> None:
    for each in (
        outcome("a\ud800", "é"),
        outcome("a", by="near", dropped=Dropped("why", "detail"), changed=("c4",)),
        Unreadable("a#1", "is no JSON"),
    ):
        assert unpacked(packed(each)) == each
    values = signature(prose(1), NearRules())
    back = unpacked(packed(outcome(prose(1), signature=values)))
    assert not isinstance(back, Unreadable)
    assert back.signature is not None
    assert values is not None
    assert back.signature.tolist() == values.tolist()


def test_an_error_is_sent_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    (tmp_path / "a.html").write_bytes(b"")
    made = recipe({"name": "s", "path": "x"})
    chain = Chain(made.sources[0], {"html": made.steps}, {})
    error, end = lines(chain, File(tmp_path / "a.html", "a.html", "html"))
    assert end == END
    with pytest.raises(SourceError, match=r"needs the extra 'corpus'"):
        unpacked(error)


def test_a_cluster_makes_the_same_bytes(
    tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(tmp_path / "in", 25)
    texts(tmp_path / "in" / "again", 5)
    rows = [json.dumps({"text": prose(n)}) for n in range(20, 30)]
    (tmp_path / "in" / "rows.jsonl").write_text("\n".join([*rows, "broken"]), encoding="utf-8")
    source = {"name": "s", "path": str(tmp_path / "in"), "validation": 0.1, "on_error": "skip"}
    made = recipe(source, steps={"fineweb": False})
    here = Build(made, tmp_path / "a").carry_out()
    monkeypatch.setattr(spreading, "AT_ONCE", 8)
    there = Build(made, tmp_path / "b", hands=spread).carry_out()
    assert there == here
    assert here.sources[0].unreadable.count == 1
    assert here.sources[0].steps["exact"].dropped == 10
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in names:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_what_cannot_be_read_ends_the_build_there_too(tmp_path: Path, cluster: None) -> None:
    texts(tmp_path / "in", 2)
    (tmp_path / "in" / "a.txt").write_bytes(b"\xff")
    made = recipe({"name": "s", "path": str(tmp_path / "in")})
    with pytest.raises(MalformedFileError, match=r"source s: a\.txt: is no UTF-8 text"):
        Build(made, tmp_path / "out", hands=spread).carry_out()


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    made = recipe({"name": "s", "path": "x"})
    with pytest.raises(MissingExtraError, match=r"studiolo\[ray\]"):
        list(spread(Chain(made.sources[0], {}, {}), []))
