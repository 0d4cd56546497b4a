"""From what was counted to what the manifest says, and to what is said if nothing is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.manifest import Portion, SourceReport
from studiolo.training.corpus.recipe import SourceRecipe, StepsRecipe
from studiolo.training.corpus.tally import Tally
from studiolo.training.corpus.writing import Written

STEPS = [*StepsRecipe.model_fields, "mask"]


def report(source: SourceRecipe, digest: str, tally: Tally, written: Written) -> SourceReport:
    """What is to be said of one source."""
    return SourceReport(
        name=source.name,
        kinds=dict(sorted(tally.kinds.items())),
        licence=source.licence,
        weight=source.weight,
        digest=digest,
        files=sum(tally.kinds.values()),
        read=tally.read,
        unreadable=tally.skipped,
        steps=tally.steps(STEPS),
        kept=tally.kept,
        licences=dict(sorted(tally.licences.items())),
        training=written.training,
        validation=written.validation,
        bytes_per_token=bytes_per_token(written.training, written.validation),
        lengths=written.histogram(),
        samples=tally.samples,
    )


def total_of(portions: Iterable[Portion]) -> Portion:
    """All together."""
    documents = size = tokens = 0
    for each in portions:
        documents += each.documents
        size += each.bytes
        tokens += each.tokens
    return Portion(documents=documents, bytes=size, tokens=tokens)


def bytes_per_token(*portions: Portion) -> float | None:
    """Bytes of text for each of its tokens, the end tokens included."""
    total = total_of(portions)
    return total.bytes / total.tokens if total.tokens else None


def emptied(tallies: Sequence[Tally]) -> InvalidRequestError:
    """That nothing is left, and by which steps."""
    read = sum(tally.read.documents for tally in tallies)
    dropped: dict[str, int] = {}
    for tally in tallies:
        for name, count in tally.dropped().items():
            dropped[name] = dropped.get(name, 0) + count
    by = ", ".join(f"{count:,} by {name}" for name, count in dropped.items())
    return InvalidRequestError(
        "sources",
        f"{read:,} documents were read and none is left" + (f": dropped {by}" if by else ""),
        remedy="Switch a step off by steps.NAME=false, or choose its thresholds."
        if by
        else "Name files that hold documents.",
    )
