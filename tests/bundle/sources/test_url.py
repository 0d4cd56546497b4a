"""Over HTTP: what breaks off is resumed, what lies is refused, what never ends is cut."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from studiolo.bundle.catalogue import UrlSource, Wanted
from studiolo.bundle.landing import Landing, Note, PullEvent
from studiolo.bundle.sources import fetch, url
from studiolo.errors import ChecksumError, SourceError
from tests.bundle.serving import closed_port, noise, serve, sha256

CONTENT = noise(300_000)
PINNED = Wanted(name="x.gguf", sha256=sha256(CONTENT), size=len(CONTENT))
OPEN = Wanted(name="x.gguf")


def land(tmp_path: Path, wanted: Wanted = PINNED) -> Landing:
    return Landing("toy", tmp_path / "landing", [wanted])


def got(tmp_path: Path) -> bytes:
    return (tmp_path / "landing" / "x.gguf").read_bytes()


@pytest.mark.parametrize("wanted", [PINNED, OPEN])
def test_a_connection_that_breaks_off_is_taken_up_again(tmp_path: Path, wanted: Wanted) -> None:
    with serve({"x.gguf": CONTENT}, breaks_left=3) as site:
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path, wanted))
        assert [asked is None for _, asked in site.asked] == [True, False, False, False]
    assert got(tmp_path) == CONTENT
    assert [path.name for path in (tmp_path / "landing").iterdir()] == ["x.gguf"]


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    with serve({"x.gguf": CONTENT}, mood="no-range", breaks_left=1) as site:
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path))
    assert got(tmp_path) == CONTENT


def test_a_server_that_always_breaks_off_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with serve({"x.gguf": CONTENT}, mood="breaking", etag=None) as site:
        source = UrlSource(url=f"{site.address}/x.gguf")
        with pytest.raises(SourceError, match="broke off"):
            fetch(source, land(tmp_path, OPEN))
        assert 4 <= len(site.asked) <= 10


def test_a_file_that_changed_meanwhile_is_not_joined_to_the_old(tmp_path: Path) -> None:
    newer = noise(300_000, seed=1)
    with serve({"x.gguf": CONTENT}, mood="breaking") as site:
        source = UrlSource(url=f"{site.address}/x.gguf")
        landing = land(tmp_path, OPEN)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(url, "_MOST", 1)
            with pytest.raises(SourceError):
                fetch(source, landing)
        site.mood, site.files, site.etag = "good", {"x.gguf": newer}, '"two"'
        fetch(source, landing)
        assert site.headers[-1]["If-Range"] == '"one"'
    assert got(tmp_path) == newer


def test_what_another_source_left_wrong_does_not_blame_this_one(tmp_path: Path) -> None:
    landing = land(tmp_path)
    (tmp_path / "landing" / "x.gguf.part").write_bytes(bytes(1000))
    notes: list[PullEvent] = []
    landing._report = notes.append
    with serve({"x.gguf": CONTENT}) as site:
        fetch(UrlSource(url=f"{site.address}/x.gguf"), landing)
    assert got(tmp_path) == CONTENT
    assert any(isinstance(event, Note) and "earlier pull" in event.text for event in notes)


def test_a_whole_part_needs_no_server(tmp_path: Path) -> None:
    landing = land(tmp_path)
    (tmp_path / "landing" / "x.gguf.part").write_bytes(CONTENT)
    fetch(UrlSource(url=f"http://127.0.0.1:{closed_port()}/x.gguf"), landing)
    assert got(tmp_path) == CONTENT


@pytest.mark.parametrize(("mood", "error"), [("lying", "SHA-256"), ("longer", "are pinned")])
def test_other_bytes_are_refused(tmp_path: Path, mood: str, error: str) -> None:
    with serve({"x.gguf": CONTENT}, mood=mood) as site, pytest.raises(ChecksumError, match=error):
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path))
    assert not (tmp_path / "landing" / "x.gguf").exists()


@pytest.mark.parametrize(
    ("mood", "wanted", "error"),
    [
        ("404", PINNED, "has no x.gguf"),
        ("403", PINNED, "refuses"),
        ("401", PINNED, "refuses"),
        ("302", PINNED, "302"),
        ("500", PINNED, "HTTP 500"),
        ("gzip", PINNED, "compressed"),
        ("unending", OPEN, "how long"),
    ],
)
def test_refusals_are_named(
    tmp_path: Path, mood: str, wanted: Wanted, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with serve({"x.gguf": CONTENT}, mood=mood) as site, pytest.raises(SourceError, match=error):
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path, wanted))


def test_a_body_without_a_length_is_cut_at_the_pinned_size(tmp_path: Path) -> None:
    bomb = Wanted(name="x.gguf", sha256=PINNED.sha256, size=1000)
    with (
        serve({"x.gguf": CONTENT}, mood="unending") as site,
        pytest.raises(ChecksumError, match="longer"),
    ):
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path, bomb))
    assert not (tmp_path / "landing" / "x.gguf").exists()


def test_a_slow_server_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url, "READ_SECONDS", 0.01)
    monkeypatch.setattr(url, "_TRIES", 1)
    monkeypatch.setattr(url, "_MOST", 3)
    with (
        serve({"x.gguf": CONTENT}, rate=5000) as site,
        pytest.raises(SourceError, match="broke off"),
    ):
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path))


def test_unpinned_files_come_over_https_alone(tmp_path: Path) -> None:
    with serve({"x.gguf": CONTENT}) as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr(url, "_LOOPBACK", set())
        with pytest.raises(SourceError, match="not https"):
            fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path, OPEN))
        fetch(UrlSource(url=f"{site.address}/x.gguf"), land(tmp_path, PINNED))


def test_a_folder_of_files(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "1_Pooling/config.json": b"[]"}
    wanted = [Wanted(name=n, sha256=sha256(c), size=len(c)) for n, c in files.items()]
    landing = Landing("toy", tmp_path / "landing", wanted)
    with serve({f"models/{name}": content for name, content in files.items()}) as site:
        fetch(UrlSource(url=f"{site.address}/models/"), landing)
    assert (tmp_path / "landing" / "1_Pooling" / "config.json").read_bytes() == b"[]"
    assert landing.missing() == []


def test_labels_keep_secrets() -> None:
    label = UrlSource(url="https://user:word@example.org/x.gguf?key=1").label
    assert label == "https://example.org/x.gguf"
