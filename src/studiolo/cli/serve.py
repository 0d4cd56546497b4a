"""``studiolo serve``: the door that HTTP clients knock at, until it is told to stop.

One line says the address once requests can be answered; nothing else goes to standard output.
Ctrl-C and SIGTERM let no request in any more, wait for those under way, and then end.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.loading import ENCODER, STARTER, DeviceOption, fetch
from studiolo.cli.machine import memory_bytes
from studiolo.cli.output import note
from studiolo.errors import InvalidRequestError, StudioloError

if TYPE_CHECKING:
    from studiolo.server.settings import Settings
    from studiolo.server.studio import Studio

UNKNOWN_MEMORY = 4_000_000_000
"""Bytes taken for granted where nothing says how many there are."""
DRAIN = 30
"""Seconds that requests under way have when the server is told to stop."""


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
    device: DeviceOption = "auto",
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Let anybody in who can reach the address.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a request may take.")] = 600.0,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Largest body of a request.")
    ] = 16,
) -> None:
    """Answer the clients of OpenAI and others over HTTP."""
    from studiolo.server.settings import Settings

    models = model or [STARTER]
    settings = Settings(
        model=models[0],
        encoder=encoder,
        max_body=max_body << 20,
        timeout=timeout,
        open_=without_keys,
    )
    with _bound(host, port) as listening:
        for name in models:
            fetch(name)
        studio = _opened(settings, records, device)
        try:
            if not without_keys and not is_loopback(host) and not studio.records.keys.any():
                raise InvalidRequestError(
                    "host",
                    f"{host} can be reached from other machines, and there are no keys",
                    remedy="Make one first (`studiolo keys create`), or pass --without-keys.",
                )
            for name in models:
                studio.house.load(name)
            _run(studio, listening, host)
        finally:
            studio.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens; bound first, so that a port in use is told before a long load."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listening = socket.socket(found[0][0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[0][4])
        return listening
    except OSError as error:
        raise StudioloError(
            f"cannot listen at {host}:{port}: {error.strerror or error}",
            remedy="Choose another with --port; 0 takes a free one.",
        ) from None


def _opened(settings: Settings, records: str | None, device: str) -> Studio:
    from studiolo.record.records import Records
    from studiolo.server.studio import Studio
    from studiolo.task.house import House

    memory = memory_bytes() or UNKNOWN_MEMORY
    kept = Records.open(records)
    house = House(
        device=device,
        model_memory=memory * 6 // 10,
        request_memory=memory * 2 // 10,
        prefix_memory=memory * 5 // 100,
    )
    return Studio.of(settings, house, kept)


def _run(studio: Studio, listening: socket.socket, host: str) -> None:
    import uvicorn

    from studiolo.server.app import build

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            shown = f"[{host}]" if ":" in host else host
            print(f"Studiolo is ready at http://{shown}:{listening.getsockname()[1]}", flush=True)

    config = uvicorn.Config(
        build(studio),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        lifespan="off",
    )
    Server(config).run(sockets=[listening])
    note("Stopped.")
