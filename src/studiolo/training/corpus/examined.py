"""The evaluation sets that a corpus must not hold, read as any source's files are.

Of rows of fields every text counts: which of them is the question, nobody needs to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.kinds import kind_of, read
from studiolo.training.corpus.readers.reading import LONGEST, Fields
from studiolo.training.corpus.readers.rows import csv_values, json_values, parquet_values
from studiolo.training.corpus.recipe import StepsRecipe
from studiolo.training.corpus.steps.decontaminate import DecontaminateRules, Examined


def examined_in(steps: Iterable[StepsRecipe]) -> dict[DecontaminateRules, Examined]:
    """By rules, what documents are compared with; each evaluation set is read once.

    Raises :class:`InvalidRequestError` for a file that is not there or of no known kind, and what
    its reader raises.
    """
    found: dict[DecontaminateRules, Examined] = {}
    for each in steps:
        rules = each.decontaminate
        if rules.apply and rules.against and rules not in found:
            texts = (text for name in rules.against for text in texts_of(Path(name).expanduser()))
            found[rules] = Examined.of(texts, rules.words)
    return found


def texts_of(path: Path) -> Iterator[str]:
    """Every text in an evaluation set."""
    field = "steps.decontaminate.against"
    if not path.is_file():
        raise InvalidRequestError(field, f"{str(path)!r} is no file")
    match kind_of(path):
        case None:
            raise InvalidRequestError(
                field, f"the name of {path.name!r} does not tell what is in it"
            )
        case "jsonl":
            values: Iterator[tuple[str, Any]] = json_values(path)
        case "csv":
            values = csv_values(path)
        case "parquet":
            values = parquet_values(path, None)
        case kind:
            for row in read(path, kind, Fields(), LONGEST, None):
                if not isinstance(row, Unreadable):
                    yield row.text
            return
    for part, value in values:
        if isinstance(value, Unreadable):
            raise InvalidRequestError(field, f"{path}, row {part}: {value.why}")
        yield from _texts(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
