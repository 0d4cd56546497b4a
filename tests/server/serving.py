"""A server of tiny models on a free port, in this process, for real clients to talk to."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from studiolo.record.contents import Policy
from studiolo.record.records import Records
from studiolo.server.running import Server
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio
from studiolo.task.house import House

MEMORY = 500_000_000
SETTINGS = Settings(model="tiny", encoder="tiny-encoder")


@dataclass
class Served:
    """A server that runs. ``url`` has no slash at its end."""

    url: str
    studio: Studio
    listening: socket.socket
    server: Server
    clients: list[httpx.Client] = field(default_factory=list)

    def http(self, **options: Any) -> httpx.Client:
        """A plain client of it."""
        client = httpx.Client(base_url=self.url, timeout=60, verify=False, **options)
        self.clients.append(client)
        return client

    def entries(self) -> list[Any]:
        """What the records hold of requests, the newest first."""
        self.studio.records.ledger.flush()
        return list(self.studio.records.ledger.requests(None, admin=True))

    def entry(self, id: str | None) -> Any:
        """What the records hold of the request ``id``, once it is over."""
        found: list[Any] = []

        def there() -> bool:
            found[:] = [each for each in self.entries() if each.id == id]
            return bool(found)

        eventually(there)
        return found[0]

    def connected(self) -> socket.socket:
        """A plain connection; whoever asks for it closes it."""
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def raw(self, *parts: bytes) -> bytes:
        """What is answered to these bytes until the server closes the connection, which it may
        do before it has all of them."""
        with self.connected() as link:
            with suppress(ConnectionError):
                for part in parts:
                    link.sendall(part)
            return received(link)

    @property
    def jobs(self) -> int:
        """Requests that the engine has."""
        return self.studio.house.engine.loop.scheduler.jobs

    @property
    def waiting(self) -> int:
        """Those of them that wait for their turn."""
        return sum(len(lane.queue) for lane in self.studio.house.engine.loop.scheduler.lanes())

    @contextmanager
    def braked(self, name: str = "tiny") -> Iterator[threading.Semaphore]:
        """Has a model take a step only when the semaphore is released, until the block is left."""
        self.studio.house.load(name)
        model = self.studio.house._opened[name].model
        steps, free, advance = threading.Semaphore(0), threading.Event(), model.advance

        def braked(progresses: Sequence[Any], grants: Sequence[int]) -> Any:
            while not free.is_set() and not steps.acquire(timeout=0.01):
                pass
            return advance(progresses, grants)

        model.advance = braked  # type: ignore[method-assign]
        try:
            yield steps
        finally:
            free.set()
            del model.advance


def roomy(tiny: str, path: Path) -> Path:
    """The tiny model, copied into ``path``, with a context that holds offered tools."""
    copied = shutil.copytree(tiny, path / "roomy")
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return copied


def received(link: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := link.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; a minute is for ever."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


@contextmanager
def serving(
    records: str | Path,
    *,
    house: Mapping[str, Any] | None = None,
    policy: Policy = Policy(),  # noqa: B008  # a frozen value
    **settings: Any,
) -> Iterator[Served]:
    """A server with ``settings`` changed, whose models lie in STUDIOLO_HOME."""
    options = {"device": "cpu", "model_memory": MEMORY, "request_memory": MEMORY, **(house or {})}
    studio = Studio.of(
        replace(SETTINGS, **settings), House(**options), Records.open(str(records), policy)
    )
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = Server(studio)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    served = Served(url, studio, listening, server)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        server.should_exit = True
        thread.join()
        studio.close()
        listening.close()
