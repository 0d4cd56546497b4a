"""The worker of a server: every batch comes to its end, once, whatever happens in between."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from studiolo.record.batches import Batch
from studiolo.record.contents import Contents
from studiolo.record.records import Records
from studiolo.record.uploads import Uploads
from studiolo.server.claims import Claims
from studiolo.server.lines import Lines
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House
from studiolo.task.openai import COMPLETIONS
from tests.databases import fresh, postgres, url
from tests.server.serving import MEMORY, eventually

__all__ = ["fresh", "postgres", "url"]
Answered = list[tuple[str, str]]


@pytest.fixture
def house() -> Iterator[House]:
    with House(device="cpu", model_memory=MEMORY, request_memory=MEMORY) as opened:
        yield opened


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Answered:
    """Which lines were answered by the thread of which name."""
    found: Answered = []

    async def answer(
        self: Lines, key: object, url: str, body: Mapping[str, Any], **more: Any
    ) -> tuple[int, dict[str, Any]]:
        found.append((threading.current_thread().name, str(body["prompt"])))
        if body.get("wait"):
            raise RuntimeError("broken")
        return 200, {"said": body["prompt"], "usage": {"total_tokens": 1}}

    monkeypatch.setattr(Lines, "answer", answer)
    return found


@contextmanager
def server(url: str, house: House, home: Path, *, start: bool = True) -> Iterator[Studio]:
    """One server's studio on the database at ``url``, with its files in ``home``."""
    records = Records.open(url)
    studio = Studio.of(Settings("tiny", "tiny-encoder"), house, records)
    studio.jobs._claims = Claims(home / "batches")
    if start:
        studio.jobs.start()
    try:
        yield studio
    finally:
        studio.jobs.close()
        records.close()


def begun(studio: Studio, count: int, name: str = "x", **more: Any) -> Batch:
    data = b"".join(
        json.dumps(
            {"custom_id": f"c{i}", "method": "POST", "url": COMPLETIONS,
             "body": {"prompt": f"{name} {i}", **more}}
        ).encode() + b"\n"
        for i in range(count)
    )  # fmt: skip
    upload = studio.records.uploads.put(data, filename="in", purpose="batch", key=None)
    made = studio.records.batches.create(key=None, endpoint=COMPLETIONS, input_file=upload.id)
    studio.jobs.wake()
    return made


def ended(studio: Studio, batch: Batch) -> Batch:
    found = [batch]

    def over() -> bool:
        now = studio.records.batches.find(batch.id, None)
        assert now is not None
        found[0] = now
        return now.finished is not None

    eventually(over)
    return found[0]


def output(uploads: Uploads, file: str | None) -> list[Any]:
    assert file is not None
    upload = uploads.find(file, None)
    assert upload is not None
    return [json.loads(line) for line in uploads.path(upload).read_bytes().splitlines()]


def test_two_servers_share_what_there_is_to_do(
    url: str, house: House, answered: Answered, tmp_path: Path
) -> None:
    with server(url, house, tmp_path / "a") as one, server(url, house, tmp_path / "b") as two:
        made = [begun(one, 20, f"batch {i}") for i in range(8)]
        two.jobs.wake()
        for batch in made:
            done = ended(one, batch)
            assert done.status == "completed"
            assert (done.total, done.completed, done.failed) == (20, 20, 0)
            assert len(output(one.records.uploads, done.output_file)) == 20
    prompts = [prompt for _, prompt in answered]
    assert len(prompts) == len(set(prompts)) == 8 * 20
    eventually(lambda: not list((tmp_path / "a" / "batches").glob("*")))


def test_what_a_server_leaves_another_goes_on_with(
    url: str, house: House, tmp_path: Path, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.server.jobs.BEAT", 0.01)
    with server(url, house, tmp_path) as first:
        batch = begun(first, 200, max_tokens=100)

        def some() -> bool:
            now = first.records.batches.find(batch.id, None)
            return now is not None and now.completed > 0

        eventually(some)
    with server(url, house, tmp_path, start=False) as second:
        left = second.records.batches.find(batch.id, None)
        assert left is not None
        assert left.status == "in_progress"
        assert 0 < left.completed < 200
        second.jobs.start()
        done = ended(second, batch)
        assert done.status == "completed"
        found = output(second.records.uploads, done.output_file)
        assert [each["custom_id"] for each in found] == [f"c{i}" for i in range(200)]
        second.records.ledger.flush()
        assert len(second.records.ledger.requests(None, limit=500)) == 200


def test_what_is_past_its_time_expires(
    url: str, house: House, answered: Answered, tmp_path: Path
) -> None:
    with server(url, house, tmp_path, start=False) as studio:
        upload = studio.records.uploads.put(
            b'{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {}}',
            filename="in", purpose="batch", key=None,
        )  # fmt: skip
        batch = studio.records.batches.create(
            key=None, endpoint=COMPLETIONS, input_file=upload.id, hours=0
        )
        studio.jobs.start()
        done = ended(studio, batch)
        assert (done.status, done.output_file) == ("expired", None)
        (line,) = output(studio.records.uploads, done.error_file)
        assert (line["custom_id"], line["error"]["code"]) == ("a", "batch_expired")
    assert answered == []


def test_a_file_that_is_deleted_meanwhile_does_no_harm(
    house: House, answered: Answered, tmp_path: Path
) -> None:
    with server(str(tmp_path / "records.db"), house, tmp_path, start=False) as studio:
        gone, kept = begun(studio, 3, "gone"), begun(studio, 3, "kept")
        studio.records.uploads.delete(gone.input_file, None)
        studio.jobs.start()
        done = ended(studio, gone)
        assert done.status == "failed"
        assert done.error is not None
        (told,) = json.loads(done.error)
        assert (told["code"], told["param"]) == ("InvalidRequestError", "input_file_id")
        assert ended(studio, kept).status == "completed"


def test_what_goes_wrong_inside_is_tried_again_and_then_told(
    house: House, answered: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.server.jobs.POLL", 0.01)
    with server(str(tmp_path / "records.db"), house, tmp_path) as studio:
        done = ended(studio, begun(studio, 1, wait=True))
        assert done.status == "failed"
        assert "3 times (RuntimeError)" in str(done.error)
        assert "broken" not in str(done.error)
        assert ended(studio, begun(studio, 1, "good")).status == "completed"
    assert len(answered) == 4


def test_a_journal_that_is_damaged_is_told(
    house: House, answered: Answered, tmp_path: Path
) -> None:
    with server(str(tmp_path / "records.db"), house, tmp_path, start=False) as studio:
        batch = begun(studio, 2)
        folder = tmp_path / "batches" / batch.id
        folder.mkdir(parents=True)
        (folder / "results.jsonl").write_bytes(b"my diary\n")
        studio.jobs.start()
        done = ended(studio, batch)
        assert done.status == "failed"
        assert "no job's output" in str(done.error)


def test_a_batch_goes_on_with_the_models_it_was_begun_with(
    house: House, answered: Answered, tmp_path: Path
) -> None:
    with server(str(tmp_path / "records.db"), house, tmp_path, start=False) as studio:
        batch = begun(studio, 2)
        folder = tmp_path / "batches" / batch.id
        folder.mkdir(parents=True)
        other = studio.jobs._settings
        studio.jobs._settings = Settings("another", "another")
        with studio.jobs._open(batch, folder):
            pass
        studio.jobs._settings = other
        studio.jobs.start()
        assert ended(studio, batch).status == "completed"


def test_records_that_come_back_are_asked_again(
    house: House, answered: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studiolo.server.jobs.POLL", 0.01)
    with server(str(tmp_path / "records.db"), house, tmp_path, start=False) as studio:
        claim, tries = studio.records.batches.claim, []

        def away(*args: Any) -> Any:
            tries.append(args)
            if len(tries) < 4:
                raise OSError("away")
            return claim(*args)

        monkeypatch.setattr(studio.records.batches, "claim", away)
        batch = begun(studio, 1)
        studio.jobs.start()
        assert ended(studio, batch).status == "completed"


def test_contents_and_files_go_when_their_time_is_over(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[float] = []
    files: list[float] = []
    monkeypatch.setattr(Contents, "sweep", lambda self, now: swept.append(now))
    monkeypatch.setattr(Uploads, "sweep", lambda self, now: files.append(now))
    monkeypatch.setattr("studiolo.server.jobs.POLL", 0.001)
    with server(str(tmp_path / "records.db"), house, tmp_path) as studio:
        eventually(lambda: len(swept) == 1)
        looked = studio.jobs._swept
        studio.jobs._swept = looked - 600
        eventually(lambda: len(files) == 2)
    assert abs(swept[0] - time.time()) < 60
    assert len(swept) == 2


def test_a_worker_that_never_began_ends_too(house: House, tmp_path: Path) -> None:
    with server(str(tmp_path / "records.db"), house, tmp_path, start=False) as studio:
        studio.jobs.wake()
