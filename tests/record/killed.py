"""A process that writes records of every kind until it is killed, and says what is safe by now.

``python -m tests.record.killed URL GENERATION ROUNDS``; each line it prints is JSON, printed after
what it tells of was acknowledged. Without rounds it only finishes the jobs that are left.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time

from studiolo.record.batches import LEASE, Batch, Batches
from studiolo.record.contents import Contents, Policy
from studiolo.record.database import Database
from studiolo.record.keys import Keys
from studiolo.record.ledger import Entry, Ledger
from studiolo.record.uploads import Uploads


def entry(number: int) -> Entry:
    """The row of that number: every field follows from it, so that a torn one is seen."""
    return Entry(
        id=f"req_{number}",
        started=1e9 + number,
        seconds=number / 8,
        dialect="openai",
        endpoint="e" * (number % 97),
        status=200 + number % 3,
        key=f"k{number % 5}",
        user="ü" * (number % 89),
        model=f"m{number}",
        prompt_tokens=number,
        completion_tokens=2 * number,
        cost=number / 16,
        joules=float(number),
    )


def output(batch: Batch) -> bytes:
    """What the job's results are."""
    return hashlib.sha256(batch.id.encode()).digest() * 1000


def say(kind: str, *what: object) -> None:
    print(json.dumps([kind, *what]), flush=True)


def main(url: str, generation: int, rounds: int) -> None:
    database = Database.open(url)
    keys, ledger, batches = Keys(database), Ledger(database), Batches(database)
    uploads, contents = Uploads(database), Contents(database, Policy(contents=True))
    worker = f"worker-{generation}"
    # The leases of whoever was killed before have run out for this one.
    now = time.time() + generation * 2 * LEASE
    say("open")
    for i in range(rounds):
        first = generation * 100_000 + 10 * i
        for number in range(first, first + 10):
            ledger.note(entry(number))
        made = keys.create(name=f"{first}", models=[f"m{first}"])
        say("key", made.secret, made.key.id)
        if i % 2:
            keys.revoke(made.key.id)
            say("revoked", made.secret)
        size = first % 7919
        contents.put(f"req_{first}", key=made.key.id, user=None, prompt=["p" * size], output="o")
        say("content", f"req_{first}", made.key.id, size)
        created = batches.create(key=None, endpoint="/v1/completions", input_file=f"file-{first}")
        say("batch", created.id, created.status)
        if i % 3 == 2:
            ledger.flush()
            say("noted", first - 20, first + 10)
        work(batches, uploads, worker, now, most=1)
    work(batches, uploads, worker, now, most=1_000_000)
    ledger.close()
    database.close()


def work(batches: Batches, uploads: Uploads, worker: str, now: float, most: int) -> None:
    """Take up to ``most`` jobs and bring each to its end."""
    for _ in range(most):
        batch = batches.claim(worker, now)
        if batch is None:
            return
        if batch.status == "validating":
            moved = batches.move(batch.id, worker, "in_progress")
            say("batch", batch.id, "in_progress")
            assert moved is not None
            batch = moved
        if batch.status == "in_progress":
            batches.renew(batch.id, worker, total=3, completed=3, now=now)
            moved = batches.move(batch.id, worker, "finalizing")
            say("batch", batch.id, "finalizing")
            assert moved is not None
            batch = moved
        id = f"file-out-{batch.id}"
        uploads.put(output(batch), filename="out", purpose="batch_output", key=None, id=id)
        assert batches.move(batch.id, worker, "completed", output_file=id) is not None
        say("batch", batch.id, "completed")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
