"""Files carried through the steps by the machines of a Ray cluster, with ``ray.data``.

What needs one document alone is done there; copies are recognised, and shards written, here. Files
come back in the order in which they went, so that the corpus is the same to the byte. Notable
choices: a file is worked on by one machine, so that work spreads over files and not within one;
what comes back is plain columns of an Arrow table. Every machine must see the files under the same
path. Whoever calls has joined the cluster.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, TypedDict

import numpy as np

from studiolo.errors import MissingExtraError, SourceError, StudioloError
from studiolo.training.corpus.chain import Chain, Outcome
from studiolo.training.corpus.document import Document, Dropped, Unreadable
from studiolo.training.corpus.files import File

AT_ONCE = 4_096
"""Files that are handed out together, so that their names are never all held."""


class Line(TypedDict):
    """What became of a document, or that a file has no more: then all is empty."""

    kind: str
    text: str
    facts: str
    signature: bytes


END = Line(kind="end", text="", facts="", signature=b"")


def spread(
    chain: Chain, every: Iterable[File]
) -> Iterator[tuple[File, Iterator[Outcome | Unreadable]]]:
    """Every file with its outcomes, in order; a :data:`~studiolo.training.corpus.build.Hands`.

    The outcomes of one must be taken before the next is asked for. Raises
    :class:`MissingExtraError` without ``ray.data``.
    """
    try:
        from ray import data
    except ImportError:
        raise MissingExtraError("building on a Ray cluster", "ray") from None
    context, log = data.DataContext.get_current(), logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)
    before = context.execution_options.preserve_order, context.enable_progress_bars
    context.execution_options.preserve_order, context.enable_progress_bars = True, False
    waiting = iter(every)
    try:
        while some := list(islice(waiting, AT_ONCE)):
            handed = data.from_items([{"number": number} for number in range(len(some))])

            def carried(row: dict[str, Any], some: list[File] = some) -> Iterator[Line]:
                yield from lines(chain, some[row["number"]])

            # What Ray gives can be iterated again, and then all would be done again.
            found = iter(handed.flat_map(carried).iter_rows())
            for file in some:
                yield file, _until_end(found)
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before
        log.setLevel(level)


def lines(chain: Chain, file: File) -> Iterator[Line]:
    """The outcomes of ``file`` as they are sent, and the end."""
    try:
        for outcome in chain.outcomes(file):
            yield packed(outcome)
    except StudioloError as error:
        # Told here as it would be there, not wrapped in what Ray says of it.
        facts = json.dumps({"message": error.message, "remedy": error.remedy})
        yield Line(kind="error", text="", facts=facts, signature=b"")
    yield END


def packed(outcome: Outcome | Unreadable) -> Line:
    """An outcome as plain columns."""
    if isinstance(outcome, Unreadable):
        return Line(kind="unreadable", text="", facts=json.dumps(asdict(outcome)), signature=b"")
    document = asdict(outcome.document)
    # As JSON, since a text may hold lone surrogates, which Arrow does not take.
    text = json.dumps(document.pop("text"))
    dropped = None if outcome.dropped is None else asdict(outcome.dropped)
    facts = {
        "document": document,
        "read": outcome.read,
        "changed": outcome.changed,
        "by": outcome.by,
        "dropped": dropped,
    }
    values = b"" if outcome.signature is None else outcome.signature.astype("<u4").tobytes()
    return Line(kind="outcome", text=text, facts=json.dumps(facts), signature=values)


def unpacked(line: Line) -> Outcome | Unreadable:
    """What :func:`packed` was given; raises :class:`SourceError` for an error that was sent."""
    facts = json.loads(line["facts"])
    if line["kind"] == "error":
        raise SourceError(facts["message"], remedy=facts["remedy"])
    if line["kind"] == "unreadable":
        return Unreadable(**facts)
    values = np.frombuffer(line["signature"], "<u4").astype(np.uint32)
    return Outcome(
        Document(text=json.loads(line["text"]), **facts["document"]),
        facts["read"],
        tuple(facts["changed"]),
        facts["by"],
        None if facts["dropped"] is None else Dropped(**facts["dropped"]),
        values if len(values) else None,
    )


def _until_end(found: Iterator[Any]) -> Iterator[Outcome | Unreadable]:
    for line in found:
        if line["kind"] == "end":
            return
        yield unpacked(line)
