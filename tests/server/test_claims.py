"""Folders of batches: one worker at a time, and a dead one's is free at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studiolo.errors import BusyError
from studiolo.record.records import Records
from studiolo.server.claims import INPUT, Claims, take_in

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(str(tmp_path / "records.db"))
    yield opened
    opened.close()


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "batches")


def claimed(records: Records, worker: str) -> str:
    made = records.batches.create(key=None, endpoint="/v1/completions", input_file="file-1")
    assert records.batches.claim(worker) == made
    return made.id


HOLD = """
import sys, time
from pathlib import Path
from studiolo.server.claims import Claims
with Claims(Path(sys.argv[1])).hold(sys.argv[2], sys.argv[3]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_a_killed_worker_had_is_given_back_at_once(records: Records, claims: Claims) -> None:
    id = claimed(records, "dead")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(claims.path), id, "dead"], stdout=subprocess.PIPE
    ) as working:
        assert working.stdout is not None
        assert working.stdout.readline() == b"held\n"
        claims.release(records.batches)
        assert records.batches.claim("next") is None
        with pytest.raises(BusyError, match="another process works in"), claims.hold(id, "next"):
            pass
        working.kill()
        working.wait()
    assert records.batches.claim("next") is None
    claims.release(records.batches)
    found = records.batches.claim("next")
    assert found is not None
    assert found.id == id
    with claims.hold(id, "next") as folder:
        assert (folder / "worker").read_text() == "next"


def test_a_living_workers_lease_is_left_alone(records: Records, claims: Claims) -> None:
    """Whoever has another home cannot tell, and must wait for the lease to run out."""
    id = claimed(records, "alive elsewhere")
    with claims.hold(id, "dead"):
        pass
    claims.release(records.batches)
    assert records.batches.claim("next") is None
    assert records.batches.claim("next", time.time() + 31) is not None


def test_what_nobody_needs_is_removed(records: Records, claims: Claims) -> None:
    id = claimed(records, "w")
    with claims.hold(id, "w"), claims.hold("batch_of_other_records", "w"):
        pass
    claims.release(records.batches)
    assert (claims.path / id).is_dir()
    assert records.batches.claim("w") is not None
    assert records.batches.move(id, "w", "failed") is not None
    claims.release(records.batches)
    assert not (claims.path / id).exists()
    assert (claims.path / "batch_of_other_records").is_dir()


def test_the_input_stays_when_its_owner_deletes_it(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    folder.mkdir()
    source.write_bytes(b"lines")
    (folder / "input.part").write_bytes(b"half")
    path = take_in(source, folder)
    source.unlink()
    assert path == folder / INPUT
    assert path.read_bytes() == b"lines"
    source.write_bytes(b"others")
    assert take_in(source, folder).read_bytes() == b"lines"


def test_an_input_on_another_disk_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "source").write_bytes(b"lines")
    assert take_in(tmp_path / "source", tmp_path).read_bytes() == b"lines"


def test_where_there_are_no_folders_there_is_nothing_to_do(
    records: Records, tmp_path: Path
) -> None:
    Claims(tmp_path / "none").release(records.batches)
    assert not (tmp_path / "none").exists()
