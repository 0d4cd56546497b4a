"""``studiolo keys``: make, list and revoke keys, see what they used, delete what was kept.

Works on the records themselves, whether a server is running or not; a running one notices within
a second. A secret is printed once, by ``create``, and never again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.group import subcommands
from studiolo.cli.moments import duration, moment, stamp
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.record.database import Database
    from studiolo.record.grant import Key
    from studiolo.record.ledger import Usage

keys = subcommands("Make, list and revoke keys; see what they used.")

SUMS = {
    "requests": "requests",
    "errors": "errors",
    "prompt_tokens": "prompt",
    "cached_tokens": "cached",
    "completion_tokens": "completion",
    "cost": "cost",
    "joules": "joules",
    "seconds": "seconds",
}
"""What is summed, and the title of its column."""
WIDE = 10_000
"""Columns of what is no terminal: there nothing is folded."""

RecordsOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the records are: postgresql://…, or a file (SQLite); "
        "records.db in Studiolo's home unless said.",
    ),
]
KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")]


@keys.command("create")
def create(
    name: Annotated[str, typer.Option(help="What it is for.")],
    owner: Annotated[str, typer.Option(help="Whose it is: a team, a customer.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: inference, batch, models:read, models:write, usage, or admin for "
            "everything; may be given several times. Without: inference and models:read.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Models it is good for, like 'smollm2-*'; may be given again."
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, metavar="N", help="Requests a minute.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Tokens a minute.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="COST", help="What it may spend, like 10/month, 0.5/day or 100/total."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it is good for, like 12h or 30d.")
    ] = None,
    records: RecordsOption = None,
    json: JsonFlag = False,
) -> None:
    """Make a key, and show its secret this once."""
    from studiolo.record.grant import Budget, Limits
    from studiolo.record.keys import Keys

    limits = Limits(rate, tokens, None if budget is None else Budget.parse(budget))
    asked: dict[str, Any] = {"name": name, "owner": owner, "limits": limits}
    if scope:
        asked["scopes"] = scope
    if models:
        asked["models"] = models
    if expires is not None:
        asked["expires"] = time.time() + duration(expires, "--expires")
    with _open(records) as database:
        made = Keys(database).create(**asked)
    aws = made.aws
    if json:
        print_json(
            {
                **_facts(made.key),
                "secret": made.secret,
                "aws_access_key_id": aws.access_key_id,
                "aws_secret_access_key": aws.secret_access_key,
            }
        )
        return
    print(f"key                    {made.secret}")
    print(f"AWS access key id      {aws.access_key_id}")
    print(f"AWS secret access key  {aws.secret_access_key}")
    note(
        "They are shown this once. From now on every request to these records' server needs a key."
    )


@keys.command("list")
def list_(records: RecordsOption = None, json: JsonFlag = False) -> None:
    """List all keys there ever were, without their secrets."""
    from studiolo.record.keys import Keys

    with _open(records) as database:
        found = Keys(database).list()
    if json:
        print_json([_facts(key) for key in found])
    elif not found:
        note("There is no key yet. `studiolo keys create --name NAME` makes one.")
    else:
        titles = ("id", "name", "owner", "may", "models", "limits", "made", "state")
        _table(titles, [_row(key) for key in found], folded=titles[1:6])


@keys.command("revoke")
def revoke(id: KeyArgument, records: RecordsOption = None) -> None:
    """End a key for good."""
    from studiolo.record.keys import Keys

    with _open(records) as database:
        key = Keys(database).revoke(id)
    note(f"{key.id} ({for_terminal(key.name, error=True)}) is revoked.")


@keys.command("usage")
def usage(
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT,…",
            help="One row for each key, user, model, day, dialect, endpoint or status, or for "
            "each combination of several.",
        ),
    ] = "key",
    key: Annotated[str | None, typer.Option(metavar="ID", help="Of this key alone.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From a day (2026-11-22, UTC) or so long ago (7d) on."),
    ] = None,
    records: RecordsOption = None,
    json: JsonFlag = False,
) -> None:
    """Sum up what was asked, and what it took."""
    from studiolo.record.keys import Keys
    from studiolo.record.ledger import Ledger

    groups: Any = [each.strip() for each in by.split(",") if each.strip()]
    start = None if since is None else moment(since, "--since", time.time())
    with _open(records) as database:
        found = Ledger(database).usage(by=groups, key=key, since=start)
        names = {each.id: each.name for each in Keys(database).list()}
    rows = [_sums(each, groups) for each in found]
    if json:
        print_json(rows)
    elif not rows:
        note("Nothing was asked in that time.")
    else:
        titles = " ".join(groups).replace("key", "key name").split()
        cells = [_shown(row, names) for row in rows]
        _table((*titles, *SUMS.values()), cells, folded=[each for each in titles if each != "key"])


@keys.command("delete-contents")
def delete_contents(
    key: Annotated[
        str | None, typer.Option(metavar="ID", help="Of requests with this key.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of requests for this end user.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    records: RecordsOption = None,
) -> None:
    """Delete prompts, outputs, receipts and feedback of a key, a user or both."""
    from studiolo.record.contents import Contents, Policy
    from studiolo.record.feedback import Feedback

    if key is None and user is None:
        raise InvalidRequestError("delete-contents", "needs --key or --user")
    with _open(records) as database:
        if not yes:
            typer.confirm("Delete what was kept?", abort=True, err=True)
        requests = Contents(database, Policy()).delete(key=key, user=user)
        ratings = Feedback(database).delete(key=key, user=user)
    note(f"The contents of {requests:,} requests and {ratings:,} ratings are deleted.")


@contextmanager
def _open(records: str | None) -> Iterator[Database]:
    from studiolo.record.database import Database

    database = Database.open(records)
    try:
        yield database
    finally:
        database.close()


def _facts(key: Key) -> dict[str, Any]:
    """A key as JSON."""
    budget = key.limits.budget
    times = {name: getattr(key, name) for name in ("created", "expires", "revoked")}
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "requests_per_minute": key.limits.requests_per_minute,
        "tokens_per_minute": key.limits.tokens_per_minute,
        "budget": None if budget is None else str(budget),
        **{name: None if at is None else stamp(at) for name, at in times.items()},
    }


def _row(key: Key) -> Sequence[str]:
    limits = key.limits
    most = {
        "requests/min": limits.requests_per_minute,
        "tokens/min": limits.tokens_per_minute,
    }
    shown = [f"{value:,} {unit}" for unit, value in most.items() if value is not None]
    if limits.budget is not None:
        shown.append(str(limits.budget))
    if key.revoked is not None:
        state = f"revoked {stamp(key.revoked)[:10]}"
    elif not key.usable(time.time()):
        state = "expired"
    else:
        state = "" if key.expires is None else f"until {stamp(key.expires)[:10]}"
    return (
        *(key.id, key.name, key.owner, " ".join(key.scopes), " ".join(key.models)),
        *(", ".join(shown), stamp(key.created)[:10], state),
    )


def _sums(usage: Usage, groups: Sequence[str]) -> dict[str, Any]:
    values = vars(usage)
    return {name: values[name] for name in (*groups, *SUMS)}


def _shown(row: dict[str, Any], names: dict[str, str]) -> Sequence[str]:
    cells = []
    for name, value in row.items():
        if name in SUMS:
            cells.append(f"{value:,}" if isinstance(value, int) else f"{value:,.6g}")
        else:
            cells.append("-" if value is None else f"{value}")
            if name == "key":
                cells.append(names.get(value, ""))
    return cells


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, folded: Sequence[str]) -> None:
    """Columns of which those in ``folded`` may take several lines on a narrow terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title not in folded)
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
