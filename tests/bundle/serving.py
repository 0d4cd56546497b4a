"""A web server on port 0 that can break off, lie, dawdle or refuse, and tiny wheels.

``Site.files`` are the good bytes; ``Site.mood`` says how they are delivered.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from studiolo.errors import StudioloError

FILE = "toy.gguf"
"""The one file of the catalogue's model ``toy``."""


def url_source(address: str) -> str:
    """The catalogue's entry for the model ``toy`` on a site."""
    return f'[[models.toy.sources]]\nkind = "url"\nurl = "{address}/{FILE}"\n'


@dataclass
class Site:
    """What is served, how, and what was asked for."""

    files: dict[str, bytes]
    mood: str = "good"
    etag: str | None = '"one"'
    rate: int = 0
    """Bytes a second; 0 is as fast as can be."""
    json: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of every GET."""
    headers: list[dict[str, str]] = field(default_factory=list)
    breaks_left: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        site, path = self.site, self.path.partition("?")[0]
        asked = self.headers.get("Range")
        site.asked.append((path, asked))
        site.headers.append({name.title(): value for name, value in self.headers.items()})
        if path in site.json:
            self._send(200, site.json[path].encode(), {"Content-Type": "application/json"})
            return
        body = site.files.get(path.lstrip("/"))
        if site.mood.isdecimal():
            self._send(int(site.mood), b"no")
            return
        if body is None:
            self._send(404, b"not here")
            return
        if site.mood == "lying":
            body = bytes(len(body))
        if site.mood == "longer":
            body = body + b"more"
        headers = {"ETag": site.etag} if site.etag else {}
        start, status = 0, 200
        matches = self.headers.get("If-Range") in (None, site.etag)
        if asked and matches and site.mood != "no-range":
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            assert found is not None
            start, status = int(found[1]), 206
            if start >= len(body):
                self._send(416, b"")
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if site.mood == "gzip":
            headers["Content-Encoding"] = "gzip"
        rest = body[start:]
        if site.mood == "unending":  # neither a length nor chunks: the end is a guess
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
            return
        if site.mood == "breaking" or site.breaks_left > 0:
            site.breaks_left -= 1
            self._send(status, rest, headers, stop_after=len(rest) // 2)
            self.close_connection = True
            return
        self._send(status, rest, headers)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        stop_after: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        step = max(1, self.site.rate // 50) if self.site.rate else 1 << 20
        with contextlib.suppress(OSError):
            for at in range(0, len(body[:stop_after]), step):
                self.wfile.write(body[:stop_after][at : at + step])
                if self.site.rate:
                    time.sleep(0.02)


@contextlib.contextmanager
def serve(files: Mapping[str, bytes], **settings: Any) -> Iterator[Site]:
    """A site on this machine, on a port that was free."""
    site = Site(dict(files), **settings)
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def outcome(act: Callable[[], object]) -> StudioloError | None:
    """The error of ours that ``act`` ended with, if it did not end well."""
    try:
        act()
    except StudioloError as error:
        return error
    return None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def noise(size: int, seed: int = 0) -> bytes:
    """``size`` bytes that do not compress, always the same."""
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(size)


def wheel(folder: Path, package: str, version: str, members: Mapping[str, bytes]) -> Path:
    """A wheel that pip accepts, holding ``members`` as they are named, however badly."""
    folder.mkdir(parents=True, exist_ok=True)
    module = package.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def catalogue(
    home: Path, files: Mapping[str, bytes], sources: str, name: str = "toy", extra: str = ""
) -> None:
    """Write the user's catalogue with one entry that pins ``files``."""
    listed = ",\n".join(
        f'{{ name = "{file}", size = {len(content)}, sha256 = "{sha256(content)}" }}'
        for file, content in files.items()
    )
    (home / "catalogue.toml").write_text(
        f"""[models.{name}]
family = "autoregressive"
modality = "text"
parameters = 1
licence = "MIT"
good_for = "tests"
files = [{listed}]
{extra}
{sources}
""",
        encoding="utf-8",
    )
