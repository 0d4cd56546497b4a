"""The bundles on a machine: what counts as one, and how a broken one is named."""

from __future__ import annotations

import json
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studiolo.bundle import store
from studiolo.bundle.manifest import digest_of
from studiolo.bundle.pull import pull
from studiolo.errors import (
    ChecksumError,
    InvalidRequestError,
    MalformedFileError,
    UnknownModelError,
)
from tests.bundle.serving import outcome, sha256


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> store.Bundle:
    path = tmp_path / "toy.gguf"
    path.write_bytes(b"GGUF toy")
    return pull(str(path))


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUDIOLO_HOME", str(tmp_path))
    assert store.home() == tmp_path
    monkeypatch.delenv("STUDIOLO_HOME")
    assert store.home() == platformdirs.user_data_path("studiolo", appauthor=False)


def test_found_by_name_and_by_path(bundle: store.Bundle, tmp_path: Path) -> None:
    assert store.find("toy") == bundle
    assert store.installed() == [bundle]
    for path in (tmp_path / "toy.gguf", str(tmp_path / "toy.gguf"), f"file:{tmp_path}/toy.gguf"):
        opened = store.find(path)
        assert opened is not None
        assert opened.weights == tmp_path / "toy.gguf"
        assert opened.digest == bundle.digest == digest_of([sha256(b"GGUF toy")])
    again = store.find(bundle.path)
    assert again is not None
    assert again.manifest == bundle.manifest


def test_a_folder_that_lies_about_is_not_taken_for_a_model(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert store.find("stray") is None
    assert store.find("./stray") is not None


@pytest.mark.parametrize("what", ["nothing", "./nothing", "/nothing.gguf", "..", "hf:a/b", ""])
def test_what_is_not_there(home: Path, what: str) -> None:
    assert store.find(what) is None


def test_a_renamed_gguf_has_the_same_digest(home: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.GGUF"):
        (tmp_path / name).write_bytes(b"GGUF")
    first, second = store.find(tmp_path / "a.gguf"), store.find(tmp_path / "b.GGUF")
    assert first is not None
    assert second is not None
    assert first.digest == second.digest


def test_removal(bundle: store.Bundle, home: Path) -> None:
    store.remove("toy")
    assert store.find("toy") is None
    assert list((home / "downloads").iterdir()) == []
    with pytest.raises(UnknownModelError):
        store.remove("toy")
    with pytest.raises(InvalidRequestError):
        store.remove("../..")


def test_verify_finds_a_changed_byte(bundle: store.Bundle) -> None:
    store.verify(bundle)
    (bundle.path / "toy.gguf").write_bytes(b"GGUF tox")
    with pytest.raises(ChecksumError, match=r"toy\.gguf"):
        store.verify(bundle)


def test_a_missing_file_is_named(bundle: store.Bundle) -> None:
    (bundle.path / "toy.gguf").unlink()
    with pytest.raises(MalformedFileError, match="missing"):
        store.find("toy")
    assert store.installed() == []
    assert "toy" in store.broken()


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0" * 64},
        {"format": 2},
        {"files": {"../x": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"toy.gguf": {"sha256": "0" * 63, "size": 1}}},
        {"surprise": 1},
    ],
)
def test_a_manifest_that_cannot_be_is_named(
    bundle: store.Bundle, change: dict[str, object]
) -> None:
    path = bundle.path / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MalformedFileError, match=r"bundle\.json") as caught:
        store.find("toy")
    assert "remove toy" in str(caught.value.remedy)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=100),
        st.integers(1, 5000).map(lambda depth: b"[" * depth),
        st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=3)),
    )
)
def test_any_manifest_is_read_or_refused(
    bundle: store.Bundle, change: bytes | tuple[int, bytes]
) -> None:
    path = bundle.path / "bundle.json"
    whole = path.read_bytes()
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        at, put = change
        path.write_bytes(whole[:at] + put + whole[at + len(put) :])
    error = outcome(lambda: store.find("toy"))
    path.write_bytes(whole)
    assert error is None or isinstance(error, MalformedFileError)
