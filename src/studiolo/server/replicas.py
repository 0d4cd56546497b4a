"""Replicas of one server on a Ray cluster, by Ray Serve: the same application in each.

A :class:`Replica` is a studio in a process of its own; in front of them stands a door
(:mod:`studiolo.server.forwarding`) that sends each request where its beginning is known
(:mod:`studiolo.server.affinity`). Replicas share nothing but the records, by their URL; answers do
not depend on which of them gives them. Models are opened by name, so each machine must have them.
Ray and Ray Serve are imported only when replicas are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import Message

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.record.location import Location
from studiolo.record.records import Records
from studiolo.server.affinity import ranked
from studiolo.server.app import build
from studiolo.server.forwarding import Forwarding
from studiolo.server.opening import Opening

NAME = "studiolo"
HELD = 64
"""Messages of an answer that wait to be fetched; then its maker waits."""


@dataclass(frozen=True)
class Scaling:
    """``least`` replicas at any time, ``most`` when each has more than ``target`` requests."""

    least: int
    most: int
    target: float = 16.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise InvalidRequestError(
                "replicas", f"must be 1 or more, and {self.most:,} at most, not {self.least:,}"
            )


class Replica:
    """A studio, and what it answers in messages of ASGI. Made in the process that answers."""

    def __init__(self, opening: Opening, records: str | None) -> None:
        self._ending = ExitStack()
        kept = Records.open(records, opening.settings.policy)
        self._ending.callback(kept.close)
        self._studio = opening.open(kept, self._ending)
        self._app = build(self._studio)
        self._studio.jobs.start()
        self._ending.callback(self._studio.jobs.close)

    async def answer(
        self, token: str, scope: dict[str, Any], body: bytes
    ) -> AsyncGenerator[list[Message], None]:
        """Answer one request; ending this cancels what is not done. ``token`` is the router's."""
        sent: asyncio.Queue[Message | None] = asyncio.Queue(HELD)
        gone, asked = asyncio.Event(), [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            await self._app({**scope, "state": {}}, receive, sent.put)
            await sent.put(None)

        running = asyncio.ensure_future(run())
        try:
            more = True
            while more:
                batch = [await _next(sent, running)]
                while not sent.empty():
                    batch.append(sent.get_nowait())
                more = batch[-1] is not None
                yield [message for message in batch if message is not None]
        finally:
            gone.set()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    def check_health(self) -> None:
        """Raise if it can answer nothing more, so that another is put in its place."""
        if self._studio.house.engine.closed:
            raise RuntimeError("the engine has stopped")

    def close(self) -> None:
        """Answer nothing more; harmless if it is closed."""
        self._ending.close()

    def __del__(self) -> None:  # by which Ray Serve says that it is over
        with suppress(AttributeError):  # it may never have been opened
            self.close()


async def _next(
    sent: asyncio.Queue[Message | None], running: asyncio.Future[None]
) -> Message | None:
    """The next message; raises what ends the application before there is one."""
    getting = asyncio.ensure_future(sent.get())
    try:
        await asyncio.wait((getting, running), return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and sent.empty():
            running.result()
        return await getting
    finally:
        getting.cancel()


def run_replicas(
    opening: Opening,
    records: str | None,
    scaling: Scaling,
    host: str,
    port: int,
    ready: Callable[[int], object],
    wait: Callable[[], object],
) -> None:
    """Serve until ``wait`` returns. Raises :class:`MissingExtraError` without Ray Serve."""
    try:
        import ray
        from ray import serve
        from ray.serve.config import RequestRouterConfig
    except ImportError:
        raise MissingExtraError("--on ray", "ray") from None
    began = not ray.is_initialized()
    if began:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    machines = [node for node in ray.nodes() if node["Alive"] and "CPU" in node["Resources"]]
    together = -(-scaling.most // len(machines))  # on one machine, which shares its memory
    processors = int(min(node["Resources"]["CPU"] for node in machines))
    opening = replace(opening, memory=opening.memory // together)
    where = Location.of(records).path  # a replica may stand in another folder
    records = records if where is None else str(where)
    settings = opening.settings
    how: dict[str, Any] = {"num_replicas": scaling.least}
    if scaling.most > scaling.least:
        how = {
            "autoscaling_config": {
                "min_replicas": scaling.least,
                "max_replicas": scaling.most,
                "target_ongoing_requests": scaling.target,
            }
        }
    replicas = serve.deployment(Replica).options(
        name="replica",
        max_ongoing_requests=settings.requests,
        graceful_shutdown_timeout_s=settings.drain,
        ray_actor_options={"num_cpus": max(0.1, processors // (together + 1))},
        request_router_config=RequestRouterConfig(request_router_class=_router()),
        **how,
    )
    door = serve.deployment(serve.ingress()(Door)).options(
        name="door",
        max_ongoing_requests=settings.connections,
        graceful_shutdown_timeout_s=settings.drain,
        ray_actor_options={"num_cpus": 0},
    )
    try:
        serve.start(http_options={"host": host, "port": port}, proxy_location="HeadOnly")
        application = door.bind(replicas.bind(opening, records))
        serve.run(application, name=NAME, route_prefix="/")
        ready(port)
        wait()
    finally:
        serve.shutdown()
        if began:
            ray.shutdown()


class Door:
    """What Ray Serve's proxies ask; ``replicas``: a handle of theirs."""

    def __init__(self, replicas: Any) -> None:
        self._replicas = replicas.options(stream=True)

    def __serve_build_asgi_app__(self) -> Forwarding:
        return Forwarding(self._ask)

    async def _ask(
        self, token: str, scope: dict[str, Any], body: bytes
    ) -> AsyncGenerator[list[Message], None]:
        answer = self._replicas.answer.remote(token, scope, body)
        try:
            async for batch in answer:
                yield batch
        finally:
            answer.cancel()


def _router() -> type:
    """Ray Serve's router that asks :func:`ranked`."""
    from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

    class AffinityRouter(RequestRouter):  # type: ignore[misc]  # Ray has no types
        async def choose_replicas(
            self,
            candidate_replicas: Sequence[RunningReplica],
            pending_request: PendingRequest | None = None,
        ) -> list[list[RunningReplica]]:
            known = {each.replica_id.unique_id: each for each in candidate_replicas}
            if pending_request is None or not pending_request.args:
                return [list(candidate_replicas)]
            pending_request.routing_context.should_backoff = True
            cache = self.replica_queue_len_cache
            loads = {name: cache.get(each.replica_id) or 0 for name, each in known.items()}
            order = ranked(str(pending_request.args[0]), loads)
            return [[known[name]] for name in order]

    return AffinityRouter
