"""The results of a batch, as the two files that its owner gets: what went well, what did not.

Both are in the order of the lines that they answer. Their ids follow from the batch's, so that
whoever is killed here and makes them again makes no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from studiolo.record.batches import Batch
from studiolo.record.journal import Journal
from studiolo.record.uploads import Uploads
from studiolo.task.batch import Line

EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
PURPOSE = "batch_output"


def split(journal: Path, unanswered: Iterable[Line] = ()) -> tuple[list[bytes], list[bytes]]:
    """The results in ``journal``, good and bad ones; of ``unanswered`` lines, that they expired."""
    good: list[tuple[int, bytes]] = []
    bad: list[tuple[int, bytes]] = []
    seen: set[int] = set()
    if journal.exists():
        with Journal(journal) as lines:
            for line in lines.lines():
                result: dict[str, Any] = json.loads(line)
                number = int(result["id"].removeprefix("batch_req_"))
                seen.add(number)
                well = result["error"] is None and result["response"]["status_code"] == 200
                (good if well else bad).append((number, line))
    for each in unanswered:
        if each.number not in seen:
            result = {"id": f"batch_req_{each.number}", "custom_id": each.custom_id}
            result |= {"response": None, "error": EXPIRED}
            bad.append((each.number, json.dumps(result).encode()))
    return [line for _, line in sorted(good)], [line for _, line in sorted(bad)]


def publish(
    uploads: Uploads, batch: Batch, good: Sequence[bytes], bad: Sequence[bytes]
) -> dict[str, str]:
    """Make files of the results; the ids of those that hold any, as a batch's fields."""
    found = {}
    for field, name, lines in (("output_file", "output", good), ("error_file", "error", bad)):
        if lines:
            named = hashlib.sha256(f"{batch.id} {name}".encode()).hexdigest()
            upload = uploads.put(
                b"".join(line + b"\n" for line in lines),
                filename=f"{batch.id}_{name}.jsonl",
                purpose=PURPOSE,
                key=batch.key,
                id=f"file-{named[:24]}",
            )
            found[field] = upload.id
    return found
