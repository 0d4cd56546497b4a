"""Answers from the machines of a Ray cluster, each with models of its own.

One worker is an :class:`Answerer` in a process of its own; requests go to the worker with the
fewest. A request's answer does not depend on which it is, so one whose worker dies is asked again
of its successor. Workers open models by name, so each machine must have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from studiolo.errors import InvalidRequestError, RequestCancelledError
from studiolo.task.answering import Answerer
from studiolo.task.joining import join
from studiolo.task.openai import Url

RESTARTS = 3


class Cluster:
    """Answers like an :class:`Answerer`; close it, or use it in a ``with``.

    Joins the cluster that ``RAY_ADDRESS`` names, else starts one of this machine alone.
    ``workers``: None means one for each machine. ``window``: requests to a worker at once.
    ``models``, ``memory``: arguments of :class:`Answerer`; workers on one machine share its memory.

    Raises :class:`MissingExtraError` without Ray, and :class:`InvalidRequestError` for a cluster
    that has not as many processors as workers.
    """

    def __init__(
        self,
        workers: int | None,
        *,
        window: int,
        models: Mapping[str, str],
        memory: Mapping[str, int],
    ) -> None:
        ray, self._leave = join()
        self._ray = ray
        machines = [node for node in ray.nodes() if node["Alive"] and "CPU" in node["Resources"]]
        processors = [int(node["Resources"]["CPU"]) for node in machines]
        count = len(machines) if workers is None else workers
        if count > sum(processors):
            self.close()
            raise InvalidRequestError(
                "workers",
                f"{count:,} need a processor each, and the cluster has {sum(processors):,}",
            )
        together = -(-count // len(machines))  # on one machine
        memory = {name: each // together for name, each in memory.items()}
        kind = ray.remote(Answerer).options(
            num_cpus=max(1, min(processors) // together),
            scheduling_strategy="SPREAD",
            max_concurrency=window,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
        )
        self._workers = [kind.remote(**models, **memory) for _ in range(count)]
        self._busy = [0] * count
        self.window = window * count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and the cluster if it was started for this."""
        for worker in getattr(self, "_workers", ()):
            self._ray.kill(worker)
        self._leave()

    async def answer(
        self, url: Url, body: Mapping[str, Any], *, id: str, seed: int, created: int
    ) -> tuple[int, dict[str, Any]]:
        """As :meth:`Answerer.answer`, of a worker."""
        i = min(range(len(self._busy)), key=self._busy.__getitem__)
        self._busy[i] += 1
        try:
            asked = self._workers[i].answer.remote(url, body, id=id, seed=seed, created=created)
            answered: tuple[int, dict[str, Any]] = await asked
            return answered
        except self._ray.exceptions.RayError as error:
            raise RequestCancelledError(
                f"a worker of the Ray cluster was lost ({type(error).__name__})",
                remedy="The same command goes on from here.",
            ) from error
        finally:
            self._busy[i] -= 1
