from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError, RecordsError, StudioloError
from studiolo.record.database import Database
from studiolo.record.journal import draft_of
from studiolo.record.keys import Keys
from studiolo.record.uploads import GRACE, Upload, Uploads


@pytest.fixture
def uploads(database: Database, home: Path) -> Uploads:
    return Uploads(database)


@pytest.fixture
def key(database: Database, home: Path) -> str:
    return Keys(database).create(name="a").key.id


def put(uploads: Uploads, data: bytes = b"data", key: str | None = None, **more: object) -> Upload:
    values = {"filename": "in.jsonl", "purpose": "batch", **more}
    return uploads.put(data, key=key, **values)  # type: ignore[arg-type]


def test_a_file_is_kept_found_read_and_deleted(uploads: Uploads, key: str, home: Path) -> None:
    made = put(uploads, b"\0\xff" * 1000, key, filename="../ü\0.jsonl")
    assert made.id.startswith("file-")
    assert made.bytes == 2000
    assert made.filename == "../ü\ufffd.jsonl"
    assert uploads.find(made.id, key) == made
    path = uploads.path(made)
    assert path == home / "files" / made.id
    assert path.read_bytes() == b"\0\xff" * 1000
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert uploads.delete(made.id, key)
    assert not path.exists()
    assert uploads.find(made.id, key) is None
    assert not uploads.delete(made.id, key)


def test_files_are_listed_by_page_and_purpose(uploads: Uploads, key: str) -> None:
    made = [put(uploads, key=key, purpose=("batch", "evals")[i % 2]) for i in range(5)]
    newest = tuple(reversed(made))
    assert uploads.list(key) == newest
    assert uploads.list(key, limit=2) == newest[:2]
    assert uploads.list(key, limit=2, after=newest[1].id) == newest[2:4]
    assert uploads.list(key, purpose="evals") == (made[3], made[1])
    assert uploads.list(None) == ()
    assert uploads.list(None, admin=True) == newest


def test_another_key_sees_and_deletes_nothing(
    uploads: Uploads, key: str, database: Database
) -> None:
    made, nobodys = put(uploads, key=key), put(uploads)
    other = Keys(database).create(name="b").key.id
    for id, reader in ((made.id, other), (made.id, None), (nobodys.id, key), (made.id, "")):
        assert uploads.find(id, reader) is None
        assert not uploads.delete(id, reader)
    assert uploads.list(other) == ()
    assert uploads.find(made.id, other, admin=True) == made
    assert uploads.delete(made.id, other, admin=True)
    assert uploads.path(nobodys).is_file()


def test_one_of_a_given_id_is_there_once(uploads: Uploads) -> None:
    put(uploads, b"first", id="file-out-1")
    again = put(uploads, b"second one", id="file-out-1")
    assert uploads.list(None) == (again,)
    assert uploads.path(again).read_bytes() == b"second one"
    assert again.bytes == 10


@given(st.text() | st.sampled_from(["file-../../x", "../file-x", "file-", "file-a/b", "file-é"]))
def test_an_id_leads_nowhere_else(id: str) -> None:
    uploads = Uploads.__new__(Uploads)
    uploads.folder = Path("/files")
    try:
        path = uploads._path(id)
    except InvalidRequestError:
        return
    assert path.parent == uploads.folder
    assert path.resolve() == path


def test_ids_that_clients_send_open_no_paths(uploads: Uploads, home: Path) -> None:
    (home / "secret").write_bytes(b"x")
    put(uploads)
    for id in ("../secret", "file-../../secret", "/etc/passwd", "", "file-x\0"):
        assert uploads.find(id.replace("\0", "0"), None) is None
        assert not uploads.delete(id.replace("\0", "0"), None, admin=True)
        with pytest.raises(InvalidRequestError, match="is no id of a file"):
            put(uploads, id=id)
    assert (home / "secret").exists()


def test_a_file_ends_at_its_time(
    uploads: Uploads, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    made, stays = put(uploads, expires=now + 100), put(uploads)
    assert uploads.find(made.id, None) == made
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert uploads.find(made.id, None) is None
    assert uploads.list(None) == (stays,)
    assert uploads.sweep(now + 99 + GRACE) == 0
    assert uploads.sweep(now + 100 + GRACE) == 1
    assert [path.name for path in uploads.folder.iterdir()] == [stays.id]


class Killed(BaseException):
    """No code hears of a kill."""


def kill(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("stage", ["before", "draft", "written"])
def test_what_a_kill_left_of_a_new_file_is_never_found_and_swept_later(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    stays = put(uploads)

    def write(path: Path, data: bytes) -> None:
        if stage != "before":
            (draft_of(path) if stage == "draft" else path).write_bytes(data[:2])
        kill()

    monkeypatch.setattr("studiolo.record.uploads.replace_file", write)
    with pytest.raises(Killed):
        put(uploads, id="file-half")
    assert uploads.find("file-half", None) is None
    assert uploads.list(None) == (stays,)
    now = time.time()
    assert uploads.sweep(now) == 0  # it may yet be written
    assert uploads.sweep(now + GRACE) == 1
    assert [path.name for path in uploads.folder.iterdir()] == [stays.id]
    assert uploads.sweep(now + GRACE) == 0


def test_what_a_kill_left_of_a_deletion_is_swept_later(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = put(uploads)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", kill)
        with pytest.raises(Killed):
            uploads.delete(made.id, None)
    assert uploads.find(made.id, None) is None
    assert uploads.sweep(time.time() + GRACE + 1) == 1
    assert list(uploads.folder.iterdir()) == []


def test_databases_may_share_a_folder(uploads: Uploads, fresh: Callable[[], str]) -> None:
    """What one does not know of is another's, however old it is."""
    made = put(uploads)
    old = time.time() - 2 * GRACE
    os.utime(uploads.path(made), (old, old))
    database = Database.open(fresh())
    others = Uploads(database)
    theirs = put(others)
    assert others.folder == uploads.folder
    assert others.sweep(time.time() + 2 * GRACE) == 0
    assert uploads.path(made).is_file()
    assert not others.delete(made.id, None, admin=True)
    assert others.delete(theirs.id, None)
    database.close()


def test_the_files_of_a_key_are_bounded_together(
    uploads: Uploads, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = put(uploads, b"x" * 60, key, limit=100)
    put(uploads, b"x" * 100, limit=100)  # nobody's are counted apart
    with pytest.raises(InvalidRequestError) as caught:
        put(uploads, b"x" * 41, key, limit=100)
    assert (caught.value.field, caught.value.status) == ("file", 400)
    assert "has 41 bytes; with 60 that are there" in caught.value.message
    assert "the 100 bytes" in caught.value.message
    put(uploads, b"x" * 40, key, limit=100)
    put(uploads, b"x" * 40, key)  # results count, and are not refused
    assert uploads.delete(made.id, key)
    put(uploads, b"x" * 20, key, limit=100)
    with pytest.raises(InvalidRequestError, match="has 1 bytes; with 100 that"):
        put(uploads, b"x", key, limit=100)


def test_a_sweep_before_anything_was_kept(uploads: Uploads) -> None:
    assert uploads.sweep(time.time()) == 0


def test_bytes_that_are_elsewhere_are_named(uploads: Uploads) -> None:
    made = put(uploads)
    uploads.path(made).unlink()
    with pytest.raises(RecordsError, match=f"the bytes of {made.id} are not in"):
        uploads.path(made)


def test_a_folder_that_cannot_be_written_is_named(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    uploads = Uploads(database, tmp_path / "file")
    with pytest.raises(StudioloError, match="cannot be written"):
        put(uploads)
    assert uploads.list(None) == ()
