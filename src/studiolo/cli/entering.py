"""How what a command has made comes into the log of receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studiolo.cli.output import note
from studiolo.errors import MalformedFileError, NoSpaceError, RecordsError

if TYPE_CHECKING:
    from studiolo.record.receipt import Receipt
    from studiolo.task.generation import Generation
    from studiolo.task.text import LanguageModel


def enter(lm: LanguageModel, made: Generation, *, must: bool = False) -> Receipt | None:
    """Enter ``made``, which is the model's, into the log; its receipt, or None if it was cut short.

    The text is there already. So where the log cannot be written, that is an error only if the
    entry ``must`` be there, and else a note on standard error.
    """
    from studiolo.record.chain import Log

    if made.finish_reason == "cancelled":
        return None
    receipt = lm.receipt(made)
    try:
        with Log() as log:
            log.note(receipt, [each.text for each in (made, *made.alternatives)])
    except (RecordsError, MalformedFileError, NoSpaceError) as error:
        if must:
            raise
        note(f"not in the log of receipts: {error.message}")
    return receipt
