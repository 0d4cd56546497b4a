"""Replicas of one server on a Ray cluster, by Ray Serve: the same application in each.

A :class:`Replica` is a studio in a process of its own. In front of them, in the process that was
started, stands a :class:`Door`: the same listener that one server has, with the same care for its
connections, which asks replicas through Ray Serve (:mod:`studiolo.server.forwarding`), each request
where its beginning is known (:mod:`studiolo.server.affinity`). Ray Serve's own proxies are not
used. Replicas share nothing but the records, by their URL; answers do not depend on which of them
gives them. Models are opened by name, so each machine must have them. Ray and Ray Serve are
imported only when replicas are asked for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import Message

from studiolo.errors import InvalidRequestError, MissingExtraError, StudioloError
from studiolo.record.location import Location
from studiolo.record.records import Records
from studiolo.server.app import build
from studiolo.server.forwarding import SILENCE, Ask, Forwarding
from studiolo.server.opening import Opening
from studiolo.server.running import Listening
from studiolo.server.settings import Settings
from studiolo.task.joining import join

NAME = "studiolo"
HELD = 64
"""Messages of an answer that wait to be fetched; then its maker waits."""
BEAT = SILENCE / 6
"""Seconds between two signs of life of an answer that takes long."""
HEALTH, LOOK = 2.0, 0.2
"""Seconds between two looks at a replica's health, and at whether it has done what it had to."""
_ERROR = re.compile(r".*^[\w.]+(?:Error|Exception): (.*)", re.DOTALL | re.MULTILINE)


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
    """A studio, and what it answers in messages of ASGI. Made in the process that answers.

    ``alone``: the cluster is this machine, and nothing need listen to another.
    """

    def __init__(self, opening: Opening, records: str | None, *, alone: bool = False) -> None:
        if alone:
            _keep_to_this_machine()
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
        """Answer one request; ending this cancels what is not done. ``token`` is the router's.

        Gives messages as they come, and none every few seconds in which there are none.
        """
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
                batch = await _next(sent, running)
                more = None not in batch
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
) -> list[Message | None]:
    """What has been sent, once there is something; after a while nothing, as a sign of life.

    Raises what ends the application before there is something.
    """
    getting = asyncio.ensure_future(sent.get())
    try:
        await asyncio.wait((getting, running), timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and sent.empty():
            if running.done():
                running.result()
            return []
        found = [await getting]
    finally:
        getting.cancel()
    while not sent.empty():
        found.append(sent.get_nowait())
    return found


def _keep_to_this_machine() -> None:
    """Have Ray Serve open a replica's port, by which we ask nothing, at the loopback address.

    It knows no other way to say so. Without the cluster's token that port takes nothing anyway.
    """
    from ray.serve._private import replica

    add = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, _: add(server, "127.0.0.1:0")


def run_replicas(
    opening: Opening,
    records: str | None,
    scaling: Scaling,
    listening: socket.socket,
    ready: Callable[[int], object],
) -> None:
    """Serve at ``listening`` until told to stop.

    Raises :class:`MissingExtraError` without Ray Serve, and :class:`StudioloError` where replicas
    cannot be opened.
    """
    ray, leave = join(told=True)
    try:
        try:
            from ray import serve
        except ImportError:
            raise MissingExtraError("--on ray", "ray") from None
        for each in ("ray", "ray.serve"):  # of which one hears nothing that one can act on
            logging.getLogger(each).setLevel(logging.ERROR)
        name = f"{NAME}-{secrets.token_hex(4)}"
        try:
            asked = _deployed(ray, serve, name, opening, records, scaling)
            Door(asked, opening.settings, ready).run(sockets=[listening])
        finally:
            serve.delete(name)
    finally:
        leave()


def _deployed(
    ray: Any, serve: Any, name: str, opening: Opening, records: str | None, scaling: Scaling
) -> Ask:
    """Replicas that are ready, and how they are asked."""
    from ray.serve.config import RequestRouterConfig
    from ray.serve.schema import LoggingConfig

    from studiolo.server.routing import AffinityRouter

    machines = [node for node in ray.nodes() if node["Alive"] and "CPU" in node["Resources"]]
    together = -(-scaling.most // len(machines))  # on one machine, which shares its memory
    processors = int(min(node["Resources"]["CPU"] for node in machines))
    opening = replace(opening, memory=opening.memory // together)
    where = Location.of(records).path  # a replica may stand in another folder
    records = records if where is None else str(where)
    how: dict[str, Any] = {"num_replicas": scaling.least}
    if scaling.most > scaling.least:
        how = {
            "autoscaling_config": {
                "min_replicas": scaling.least,
                "max_replicas": scaling.most,
                "target_ongoing_requests": scaling.target,
            }
        }
    share = processors // together or int(1000 * processors / together) / 1000
    replicas = serve.deployment(Replica).options(
        name="replica",
        max_ongoing_requests=opening.settings.connections,  # a replica refuses what is too much
        graceful_shutdown_timeout_s=opening.settings.drain,
        graceful_shutdown_wait_loop_s=LOOK,
        health_check_period_s=HEALTH,
        ray_actor_options={"num_cpus": share},
        request_router_config=RequestRouterConfig(request_router_class=AffinityRouter),
        logging_config=LoggingConfig(log_level="ERROR", enable_access_log=False),
        **how,
    )
    serve.start(proxy_location="Disabled")
    try:
        application = replicas.bind(opening, records, alone=not os.environ.get("RAY_ADDRESS"))
        handle = serve.run(application, name=name, route_prefix=None)
    except RuntimeError:
        raise _why(serve.status().applications, name) from None
    handle = handle.options(stream=True)

    async def ask(
        token: str, scope: dict[str, Any], body: bytes
    ) -> AsyncGenerator[list[Message], None]:
        answer = handle.answer.remote(token, scope, body)
        try:
            async for batch in answer:
                yield batch
        finally:
            answer.cancel()

    return ask


def _why(applications: Mapping[str, Any], name: str) -> StudioloError:
    """Why replicas could not be opened: the error that ends what the last of them said."""
    status = applications.get(name)
    told = [] if status is None else [each.message for each in status.deployments.values()]
    found = _ERROR.search("\n".join(told))
    if found is None:
        return StudioloError("replicas cannot be opened, and Ray Serve does not say why")
    message, _, remedy = found[1].strip().partition("\n")
    return StudioloError(f"replicas cannot be opened: {message}", remedy=remedy or None)


class Door(Listening):
    """Forwards what comes to replicas until it is told to stop."""

    def __init__(self, ask: Ask, settings: Settings, ready: Callable[[int], object]) -> None:
        self._forwarding = Forwarding(ask, settings)
        super().__init__(self._forwarding, settings, ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; requests that take longer than they may are ended, and told so."""
        end = asyncio.get_running_loop().call_later(self._settings.drain, self._forwarding.end)
        try:
            await super().shutdown(sockets)
        finally:
            end.cancel()
