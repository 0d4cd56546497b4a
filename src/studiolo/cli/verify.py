"""``studiolo verify``: is the log of receipts as it was written, and is this receipt in it?

Exit codes: 0 when all that was asked is so, 1 when it is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, print_json, progress_bar
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.record.entry import Head
    from studiolo.record.verification import Verification

WRONG = 1
QUICK = 4 << 20
"""Bytes of a log that is read in a second or two."""


def verify(
    receipt: Annotated[
        Path | None,
        typer.Argument(help="Look for this receipt in the log, too."),
    ] = None,
    head: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A head that --show-head printed earlier; what it tells of must be there.",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The log in this folder, instead of this installation's; with --key.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem",
            help="Believe this public key, instead of this installation's own.",
        ),
    ] = None,
    show_head: Annotated[
        bool,
        typer.Option(
            "--show-head",
            help="Print the log's head and do no more: to be kept where nobody who could change "
            "the log can change it.",
        ),
    ] = False,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Print the public key and do no more.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Find any change in the log of receipts; say where."""
    from studiolo.record.chain import ENTRIES, HEAD, log_directory, read_head
    from studiolo.record.signing import FILE, PublicKey, SigningKey
    from studiolo.record.verification import verify_log

    if show_key:
        print(SigningKey.installed().public.pem, end="")
        return
    folder = log_directory() if log is None else log
    if log is not None and not log.is_dir():
        raise InvalidRequestError("--log", f"there is no folder {str(log)!r}")
    if show_head:
        newest = read_head(folder / HEAD)
        if newest is None:
            raise InvalidRequestError("--show-head", f"there is no log in {str(folder)!r} yet")
        print(newest.to_bytes().decode("ascii"), end="")
        return
    if log is not None and key is None:
        raise InvalidRequestError(
            "--log",
            "needs --key: a log is believed for whose key it is",
            remedy=f"`studiolo verify --show-key` prints the key of an installation, {FILE!r} of "
            "which belongs to the log.",
        )
    heads = [_head(path) for path in head or ()]
    digest = None if receipt is None else _digest(receipt)
    entries = folder / ENTRIES
    if key is None and log is None and not entries.exists() and not (folder / HEAD).exists():
        _nothing(heads, receipt, json)
        return
    public = SigningKey.installed(make=False).public if key is None else PublicKey.read(key)
    size = entries.stat().st_size if entries.exists() else 0
    with progress_bar("verifying", size, at_once=QUICK) as report:
        result = verify_log(folder, public, heads=heads, receipt=digest, report=report)
    if json:
        about = {} if receipt is None else {"receipt": {"digest": digest, "entry": result.found}}
        print_json({"log": str(folder), **result.to_dict(), **about})
    else:
        _show(result, receipt)
    if not result.sound or (receipt is not None and result.found is None):
        raise typer.Exit(WRONG)


def _digest(path: Path) -> str:
    from studiolo.record.receipt import Receipt  # which takes seconds, as it knows models

    return Receipt.read(path).digest


def _head(path: Path) -> Head:
    from studiolo.record.entry import MAX_LINE, Head

    try:
        with path.open("rb") as file:
            data = file.read(MAX_LINE)
    except OSError as error:
        why = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InvalidRequestError("--head", why) from None
    return Head.parse(data, str(path))


def _nothing(heads: list[Head], receipt: Path | None, json: bool) -> None:
    """Where no log has begun: nothing is wrong, unless there is said to have been one."""
    expected = bool(heads) or receipt is not None
    if json:
        print_json({"log": None, "sound": not heads, "entries": 0})
    else:
        print("There is no log here" + ("." if expected else " yet: nothing has been made."))
    if expected:
        raise typer.Exit(WRONG)


def _show(result: Verification, receipt: Path | None) -> None:
    for each in result.findings:
        print(for_terminal(str(each)))
    if result.more_findings:
        print(f"and {result.more_findings:,} more")
    span = f", {result.first} to {result.last}" if result.first else ""
    word = "entry" if result.entries == 1 else "entries"
    state = (
        "none changed, missing or moved" if result.sound else "genuine; the log was tampered with"
    )
    print(f"{result.entries:,} {word}{span}: {state}")
    print(f"signed by {result.key}")
    if result.unfinished:
        print("Its last line is unfinished: a writer was killed, or is writing now.")
    if receipt is not None:
        where = "is not in the log" if result.found is None else f"is entry {result.found:,}"
        print(f"{for_terminal(str(receipt))} {where}")
