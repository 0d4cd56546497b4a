"""``studiolo serve``: the door that HTTP clients knock at, until it is told to stop.

One line says the address once requests can be answered; nothing else goes to standard output.
Ctrl-C and SIGTERM let no request in any more, wait for those under way, and then end.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from contextlib import ExitStack, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from studiolo.cli.loading import ENCODER, STARTER, Cache, CacheOption, DeviceOption, fetch
from studiolo.cli.machine import memory_bytes
from studiolo.cli.output import note
from studiolo.errors import InvalidRequestError, StudioloError

if TYPE_CHECKING:
    from studiolo.server.opening import Opening
    from studiolo.server.studio import Studio

UNKNOWN_MEMORY = 4_000_000_000
"""Bytes taken for granted where nothing says how many there are."""


class Keep(StrEnum):
    """What may be kept of answers."""

    CONTENTS = "contents"
    RECEIPTS = "receipts"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Load it now; may be given again. The first answers who names none.",
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(metavar="MODEL", help="For vectors, of requests that name none.")
    ] = ENCODER,
    records: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where keys, usage and batches are kept: postgresql://…, or a file (SQLite).",
        ),
    ] = None,
    keep: Annotated[
        list[Keep] | None,
        typer.Option(
            help="What to keep of answers: their contents, or receipts; may be given again. "
            "By default nothing."
        ),
    ] = None,
    keep_days: Annotated[int, typer.Option(min=1, metavar="N", help="For so long.")] = 30,
    watermark: Annotated[
        bool,
        typer.Option(
            "--watermark", help="Mark the choice of words in every text that is drawn here."
        ),
    ] = False,
    device: DeviceOption = "auto",
    kv_cache: CacheOption = Cache.FLOAT32,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Let anybody in who can reach the address.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a request may take.")] = 600.0,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Largest body of a request.")
    ] = 16,
    remotes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Models elsewhere; by default remotes.toml in STUDIOLO_HOME, if it is there.",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What models cost; by default prices.toml in STUDIOLO_HOME, if it is there.",
        ),
    ] = None,
    watts: Annotated[
        float,
        typer.Option(
            min=0,
            help="What the machine draws while it computes, where its processors do not tell.",
        ),
    ] = 0.0,
    on: Annotated[
        str | None, typer.Option(metavar="ray", help="Serve replicas on a Ray cluster.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas, with --on ray.")] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Up to so many under load, with --on ray; by default no more."),
    ] = None,
    target: Annotated[
        float,
        typer.Option(min=0.1, help="Requests to a replica at once, beyond which there are more."),
    ] = 16.0,
) -> None:
    """Answer the clients of OpenAI and others over HTTP."""
    from studiolo.bundle.store import looks_like_path
    from studiolo.record.contents import Policy
    from studiolo.record.records import Records
    from studiolo.server.settings import Settings

    if on not in (None, "ray"):
        raise InvalidRequestError("on", f"must be ray, not {on!r}")
    if on is None and (replicas != 1 or max_replicas is not None):
        raise InvalidRequestError("replicas", "need --on ray")
    models = model or [STARTER]
    settings = Settings(
        model=models[0],
        encoder=encoder,
        max_body=max_body << 20,
        timeout=timeout,
        open_=without_keys,
        watts=watts,
        policy=Policy(Keep.CONTENTS in (keep or ()), Keep.RECEIPTS in (keep or ()), keep_days),
        watermark=watermark,
    )
    with bound(host, port) as listening, ExitStack() as ending:
        kept = Records.open(records, settings.policy)
        ending.callback(kept.close)
        if not (without_keys or is_loopback(listening) or kept.keys.any()):
            raise InvalidRequestError(
                "host",
                f"{host} can be reached from other machines, and there are no keys",
                remedy="Make one first (`studiolo keys create`), or pass --without-keys.",
            )
        from studiolo.server.opening import Opening

        memory = memory_bytes() or UNKNOWN_MEMORY
        opening = Opening.read(
            settings,
            tuple(models),
            memory,
            device=device,
            remotes=remotes,
            priced=prices,
            kv_cache=kv_cache.value,
        )
        for name in opening.here:
            fetch(name)
        if looks_like_path(encoder):
            fetch(encoder)  # says so if there is nothing
        if on is None:
            _run(opening.open(kept, ending), listening, host)
        else:
            ending.close()  # replicas open the records themselves
            _run_on_ray(opening, records, (replicas, max_replicas, target), listening, host)
    note("Stopped.")


def bound(host: str, port: int) -> socket.socket:
    """A socket for the server; bound first, so that a port in use is told before a long load."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with ExitStack() as failing:
            listening = failing.enter_context(socket.socket(found[0][0], socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(found[0][4])
            listening.listen()  # only then is a port surely nobody else's
            failing.pop_all()
            return listening
    except OSError as error:
        raise StudioloError(
            f"cannot listen at {shown(host)}:{port}: {error.strerror or error}",
            remedy="Choose another --host or another --port; port 0 takes a free one.",
        ) from None


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine can reach ``listening``."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def shown(host: str) -> str:
    """``host`` as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def _run(studio: Studio, listening: socket.socket, host: str) -> None:
    from studiolo.server.running import Server

    Server(studio, lambda port: _say_ready(host, port)).run(sockets=[listening])


def _run_on_ray(
    opening: Opening,
    records: str | None,
    scaling: tuple[int, int | None, float],
    listening: socket.socket,
    host: str,
) -> None:
    from studiolo.server.replicas import Scaling, run_replicas

    least, most, target = scaling
    scale = Scaling(least, most or least, target)
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # where Ray prints what its processes say
        run_replicas(opening, records, scale, listening, lambda port: _say_ready(host, port, out))


def _say_ready(host: str, port: int, out: TextIO | None = None) -> None:
    print(f"Studiolo is ready at http://{shown(host)}:{port}", file=out, flush=True)
