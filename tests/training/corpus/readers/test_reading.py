from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studiolo.errors import MalformedFileError, SourceError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers import reading
from studiolo.training.corpus.readers.reading import Fields, Row, as_text, opened, row_of, whole
from tests.training.corpus.small import refused


def test_a_packed_file_is_unpacked_and_a_damaged_one_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("naïve\r\n".encode()))
    with as_text(path) as file:
        assert file.read() == "naïve\r\n"
    sound = gzip.compress(bytes(range(256)) * 9)
    path.write_bytes(sound[:60] + b"xxxx" + sound[64:])
    with pytest.raises(MalformedFileError, match=r"a\.txt\.gz: is damaged"), opened(path) as raw:
        raw.read()
    path.write_bytes(gzip.compress(b"naive" * 1000)[:-9])
    with pytest.raises(MalformedFileError, match=r"a\.txt\.gz: is damaged"), opened(path) as raw:
        raw.read()


@settings(deadline=None)
@given(st.binary(max_size=60) | st.binary(max_size=4).map(lambda rest: b"\xef\xbb\xbf" + rest))
@example(b"\xef")
@example(b"\xef\xbb")
def test_any_bytes_are_text_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    for name in ("x.txt", "x.txt.gz"):
        path = tmp_path_factory.mktemp("bytes") / name
        path.write_bytes(data)

        def read(path: Path = path) -> Iterator[str]:
            with as_text(path) as file:
                yield file.read()

        why = refused(read)
        assert why is None or name in why
        if why is None and name == "x.txt":
            assert list(read()) == [data.decode("utf-8-sig")]


def test_what_is_not_there_or_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        whole(tmp_path / "none")
    (tmp_path / "x").write_bytes(b"12345")
    assert whole(tmp_path / "x") == b"12345"
    monkeypatch.setattr(reading, "LONGEST", 4)
    with pytest.raises(MalformedFileError, match="larger than 4 bytes"):
        whole(tmp_path / "x")


def test_a_row_says_what_its_fields_say() -> None:
    values = {"a": "one", "b": "two", "n": 7, "l": "MIT", "id": 12}
    assert row_of(values, Fields(("a", "b"), "l", "id"), "3") == Row("one\n\ntwo", "12", "MIT")
    assert row_of(values, Fields(("a",), "n", "none"), "3") == Row("one", "3", "")
    missing = row_of(values, Fields(("text",)), "3")
    assert missing == Unreadable("3", "the field 'text' is not there; there are: a, b, n, l, id")
    assert "holds int, no text" in getattr(row_of(values, Fields(("n",)), "3"), "why", "")
