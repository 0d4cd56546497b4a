"""A local Ray of two workers answers as one process does, also when one of them is killed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError, MissingExtraError
from studiolo.task.answering import Answerer
from studiolo.task.batch import Batch, Tally
from studiolo.task.cluster import Cluster
from studiolo.task.joining import join
from tests.task.test_batch import MEMORY, line, results, without_time

pytestmark = [
    # Ray leaves sockets and log files to the interpreter's end.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL"),
]


@pytest.fixture(scope="module")
def two_processors() -> Iterator[Any]:
    """Ray, of a cluster with as many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2}')
        ray, leave = join()
    yield ray
    leave()
    gc.collect()  # here and not in another test


SHARE: dict[str, Any] = {"model_memory": MEMORY, "request_memory": MEMORY}


def models(tiny: str, tiny_encoder: str) -> dict[str, Any]:
    return {"model": tiny, "encoder": tiny_encoder, "device": "cpu"}


def test_two_workers_answer_as_one_process_does(
    two_processors: Any, tmp_path: Path, tiny: str, tiny_encoder: str
) -> None:
    lines = []
    for i in range(30):
        lines.append(line(f"text-{i}", prompt=f"the {i}", max_tokens=5, logprobs=1, n=1 + i % 2))
        lines.append(line(f"wrong-{i}", prompt="x", top_p=2))
    source = tmp_path / "in"
    source.write_bytes(b"\n".join(lines))
    named = {"model": tiny, "encoder": tiny_encoder}
    with (
        Batch(source, tmp_path / "one", **named) as job,
        Answerer(**models(tiny, tiny_encoder), **SHARE) as answerer,
    ):
        asyncio.run(job.run(answerer.answer))
    calm = without_time(results(tmp_path / "one"))
    with (
        Batch(source, tmp_path / "two", **named) as job,
        Cluster(2, window=8, models=models(tiny, tiny_encoder), memory=SHARE) as cluster,
    ):
        assert cluster.window == 16
        pids = processes(two_processors, cluster)
        assert len({*pids, os.getpid()}) == 3
        asyncio.run(job.run(cluster.answer, window=cluster.window))
        assert without_time(results(tmp_path / "two")) == calm
        # A worker that is lost in the midst of it has a successor, which is asked again.
        with Batch(source, tmp_path / "three", **named) as another:
            killed: list[int] = []

            def kill(tally: Tally) -> None:
                if tally.done >= 15 and not killed:
                    killed.append(tally.done)
                    os.kill(pids[0], signal.SIGKILL)

            asyncio.run(another.run(cluster.answer, window=cluster.window, report=kill))
        assert killed[0] < len(lines)
        journal = (tmp_path / "three").read_bytes().splitlines()
        assert len(journal) == len(lines)
        assert without_time(results(tmp_path / "three")) == calm
        after = processes(two_processors, cluster)
        assert after[0] != pids[0]
        assert after[1] == pids[1]


def processes(ray: Any, cluster: Cluster) -> list[int]:
    asked = [worker.__ray_call__.remote(lambda self: os.getpid()) for worker in cluster._workers]
    pids: list[int] = ray.get(asked)
    return pids


def test_more_workers_than_processors_are_refused(
    two_processors: Any, tiny: str, tiny_encoder: str
) -> None:
    with pytest.raises(InvalidRequestError, match="3 need a processor each, and the cluster has 2"):
        Cluster(3, window=8, models=models(tiny, tiny_encoder), memory=SHARE)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'studiolo\[ray\]'"):
        Cluster(None, window=8, models={}, memory=SHARE)
