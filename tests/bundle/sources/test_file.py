"""Files and folders on a disk: copied, checked, and named when they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.bundle.catalogue import DirectorySource, FileSource, Wanted
from studiolo.bundle.landing import Landing
from studiolo.bundle.sources import fetch
from studiolo.errors import ChecksumError, SourceError
from tests.bundle.serving import sha256


def land(tmp_path: Path, content: bytes) -> Landing:
    wanted = Wanted(name="x.gguf", sha256=sha256(content), size=len(content))
    return Landing("toy", tmp_path / "landing", [wanted])


def test_copies(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    for source in (FileSource(path=tmp_path / "x.gguf"), DirectorySource(path=tmp_path)):
        landing = land(tmp_path, b"GGUF")
        (tmp_path / "landing" / "x.gguf.part").write_bytes(b"ab")
        fetch(source, landing)
        assert (tmp_path / "landing" / "x.gguf").read_bytes() == b"GGUF"
        (tmp_path / "landing" / "x.gguf").unlink()


def test_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"other")
    with pytest.raises(ChecksumError):
        fetch(FileSource(path=tmp_path / "x.gguf"), land(tmp_path, b"GGUF"))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for source in (
        FileSource(path=tmp_path / "none"),
        FileSource(path=tmp_path),
        DirectorySource(path=tmp_path / "none"),
        DirectorySource(path=tmp_path),
    ):
        with pytest.raises(SourceError, match=str(tmp_path)):
            fetch(source, land(tmp_path, b"GGUF"))
