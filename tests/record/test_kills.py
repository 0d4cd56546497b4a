"""Whoever writes records may be killed at any moment: nothing is torn, what was told is true."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from studiolo.record.batches import Batches, Status
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.keys import Keys
from studiolo.record.ledger import Ledger
from studiolo.record.tables import requests
from studiolo.record.uploads import Uploads
from tests.record.killed import entry, output

ORDER: tuple[Status, ...] = ("validating", "in_progress", "finalizing", "completed")
ROOT = Path(__file__).resolve().parents[2]


class Told:
    """What the killed have said."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.contents: dict[str, tuple[str, int]] = {}
        self.noted: list[tuple[int, int]] = []
        self.batches: dict[str, int] = {}

    def hear(self, said: bytes) -> None:
        """Lines, of which the last may be cut."""
        for line in said.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            kind, *what = json.loads(line)
            if kind == "key":
                self.keys[what[0]] = what[1]
            elif kind == "revoked":
                self.revoked.add(what[0])
            elif kind == "content":
                self.contents[what[0]] = what[1], what[2]
            elif kind == "noted":
                self.noted.append((what[0], what[1]))
            elif kind == "batch":
                self.batches[what[0]] = max(self.batches.get(what[0], 0), ORDER.index(what[1]))


def check(database: Database, told: Told) -> None:
    """All that was told is there, and all that is there is whole."""
    keys = Keys(database)
    listed = {key.id: key for key in keys.list()}
    for secret, id in told.keys.items():
        found = keys.find(secret)
        if secret in told.revoked:
            assert found is None
            assert listed[id].revoked is not None
        elif found is not None:
            assert found.models == (f"m{found.name}",)
        else:  # killed between the revocation and the telling
            assert listed[id].revoked is not None
    for key in listed.values():
        assert key.models == (f"m{key.name}",)

    rows = Ledger(database).requests(None, limit=1_000_000, admin=True)
    numbers = {row.prompt_tokens for row in rows}
    assert len(numbers) == len(rows)
    for row in rows:
        assert row == entry(row.prompt_tokens)
    for first, end in told.noted:
        assert numbers >= set(range(first, end))

    contents = Contents(database, Policy())
    for request, (id, size) in told.contents.items():
        content = contents.content(request, id)
        assert content is not None
        assert (content.prompt, content.output) == (["p" * size], "o")

    batches, uploads = Batches(database), Uploads(database)
    there = {each.id: each for each in batches.list(None, limit=1_000_000)}
    assert set(there) >= set(told.batches)
    for id, batch in there.items():
        assert ORDER.index(batch.status) >= told.batches.get(id, 0)
        assert (batch.started is not None) == (batch.status != "validating")
        assert (batch.finished is not None) == (batch.status == "completed")
        assert (batch.output_file is not None) == (batch.status == "completed")
        assert batch.total == batch.completed
        assert batch.status == "validating" or batch.input_file.startswith("file-")
    for upload in uploads.list(None, limit=1_000_000):
        data = uploads.path(upload).read_bytes()
        batch = there[upload.id.removeprefix("file-out-")]
        assert data == output(batch)
        assert upload.bytes == len(data)
    if database.where.path:
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def killed(url: str, generation: int, seconds: float) -> bytes:
    """What a process said until it was killed, so long after it first spoke, or, below 0, began."""
    with process(url, generation, 100_000) as writing:
        assert writing.stdout is not None
        if seconds > 0:
            select.select([writing.stdout], [], [], 60)
        time.sleep(abs(seconds))
        writing.kill()
        said, complaint = writing.communicate()
        assert writing.returncode == -9, complaint.decode()
        return said


def process(url: str, generation: int, rounds: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.record.killed", url, str(generation), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.usefixtures("home")
def test_killed_at_any_moment_nothing_is_torn_and_what_was_acknowledged_is_there(
    proof: Callable[..., int], url: str
) -> None:
    """SIGKILL while keys, rows, jobs, files are written: none torn, none that was told is lost."""
    kills = proof("records-kills", short=4, full=100)
    draw, told = random.Random(5), Told()
    for generation in range(1, kills + 1):
        # Mostly while it writes; now and then while it begins.
        wait = draw.uniform(0.0, 0.4) if generation % 5 else -draw.uniform(0.0, 0.5)
        told.hear(killed(url, generation, wait))
        if generation % 5 == 0 or generation == kills:
            database = Database.open(url)
            check(database, told)
            database.close()
    assert told.keys
    with process(url, kills + 1, 0) as finishing:
        said, complaint = finishing.communicate()
    assert finishing.returncode == 0, complaint.decode()
    told.hear(said)
    database = Database.open(url)
    check(database, told)
    done = Batches(database).list(None, limit=1_000_000)
    assert {batch.status for batch in done} == {"completed"}
    made = Uploads(database).list(None, limit=1_000_000)
    assert {each.id for each in made} == {batch.output_file for batch in done}
    assert len(made) == len(done)
    database.close()


def test_the_check_notices_what_is_torn(database: Database, home: Path) -> None:
    """The check itself: a row of which one field is another's is seen."""
    ledger = Ledger(database)
    ledger.note(entry(7))
    ledger.close()
    told = Told()
    check(database, told)
    told.noted.append((7, 9))
    with pytest.raises(AssertionError):
        check(database, told)
    with database.begin() as connection:
        connection.execute(sa.update(requests).values(model="m8"))
    with pytest.raises(AssertionError):
        check(database, Told())
    assert os.environ["STUDIOLO_HOME"] == str(home)
