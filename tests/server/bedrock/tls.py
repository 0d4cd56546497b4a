"""A proxy that speaks TLS before a server that does not, as servers on a network have one."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CERTIFICATE, KEY = "tls.crt", "tls.key"


@contextmanager
def encrypted(url: str, folder: Path) -> Iterator[str]:
    """Where the server at ``url`` answers over TLS; its certificate is put into ``folder``."""
    _certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    loop, started, port = asyncio.new_event_loop(), threading.Event(), 0

    async def run(end: asyncio.Event) -> None:
        nonlocal port
        tasks: set[asyncio.Task[None]] = set()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())  # type: ignore[arg-type]
            host = urlsplit(url)
            ahead, back = await asyncio.open_connection(host.hostname, host.port)
            await asyncio.gather(_copied(reader, back), _copied(ahead, writer))

        server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        started.set()
        await end.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    end = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run(end)), daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        with suppress(OSError):
            writer.close()


def _certify(folder: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, to make a certificate")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / KEY, "-out", folder / CERTIFICATE),
        ],
        check=True,
        capture_output=True,
    )
