"""More than can be done: what is shed is told to come back, and nobody is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from studiolo.runtime.scheduler import Pace
from tests.server.serving import Served, eventually, serving

BODY: dict[str, Any] = {"prompt": "a", "max_tokens": 3, "seed": 1, "ignore_eos": True}
SAID = [{"role": "user", "content": "a"}]
DIALECTS: dict[str, dict[str, Any]] = {
    "/v1/completions": BODY,
    "/v1/chat/completions": {"messages": SAID},
    "/v1/responses": {"input": "a"},
    "/v1/messages": {"model": "tiny", "messages": SAID, "max_tokens": 2},
    "/api/generate": {"model": "tiny", "prompt": "a"},
    "/model/tiny/converse": {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
}


@contextmanager
def asking(http: httpx.Client, count: int, body: dict[str, Any] = BODY) -> Iterator[list[Any]]:
    """``count`` requests at once; their answers, once the block is left."""
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(http.post("/v1/completions", json=body)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for thread in threads:
            thread.join()


@contextmanager
def full(served: Served, count: int) -> Iterator[list[Any]]:
    """As :func:`asking`, of which one is worked on already when the others come."""
    http = served.http()
    with asking(http, 1) as first:
        eventually(lambda: served.jobs == 1 and served.waiting == 0)
        with asking(http, count - 1) as others:
            yield others
    others += first


@pytest.fixture(scope="module")
def narrow(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that works at one request and lets two wait."""
    path = tmp_path_factory.mktemp("narrow") / "records.db"
    with serving(path, house={"pace": Pace(live=1, waiting=2)}) as running:
        yield running


def test_a_full_queue_is_told_in_every_dialect_with_a_time(narrow: Served) -> None:
    http = narrow.http()
    with narrow.braked() as steps, full(narrow, 3) as answers:
        eventually(lambda: narrow.jobs == 3)
        for path, body in DIALECTS.items():
            for more in ({}, {"stream": True}):
                if more and "converse" in path:
                    path = path.replace("converse", "converse-stream")
                    more = {}
                answer = http.post(path, json={**body, **more})
                # Anthropic has a status of its own for it.
                assert answer.status_code == (529 if "messages" in path else 429), path
                assert int(answer.headers["retry-after"]) >= 1
                assert "waiting already" in answer.text
                id = next(v for v in answer.headers.values() if v.startswith("req_"))
                assert narrow.entry(id).error == "BusyError"
        steps.release(100)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["choices"][0]["text"] for answer in answers}) == 1


def test_many_samples_and_many_texts_wait_for_room_once_they_are_let_in(narrow: Served) -> None:
    http = narrow.http()
    made = http.post("/v1/completions", json={**BODY, "n": 9})
    assert [choice["index"] for choice in made.json()["choices"]] == list(range(9))
    vectors = http.post("/v1/embeddings", json={"input": ["a"] * 50})
    assert len(vectors.json()["data"]) == 50


def test_who_is_shed_takes_no_room(narrow: Served) -> None:
    with narrow.braked() as steps, full(narrow, 12) as answers:
        eventually(lambda: len(answers) == 9)  # shed at once, while nothing moves
        assert {answer.status_code for answer in answers} == {429}
        assert narrow.jobs == 3
        steps.release(100)
    assert narrow.studio.room.count == 0
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 9


def test_one_key_that_floods_does_not_keep_another_out(tiny_home: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "r.db", requests=8, house={"pace": Pace(live=2)}) as served:
        keys = served.studio.records.keys
        flood, other = keys.create(name="flood"), keys.create(name="other")
        loud = served.http(headers={"x-api-key": flood.secret})
        quiet = served.http(headers={"x-api-key": other.secret})
        with served.braked() as steps, asking(loud, 10) as answers:
            eventually(lambda: len(answers) == 4)
            shed = answers[0]
            assert shed.status_code == 429
            assert f"the key {flood.key.id} has 6 requests" in shed.json()["error"]["message"]
            assert int(shed.headers["retry-after"]) >= 1
            eventually(lambda: served.jobs == 6)
            with asking(quiet, 1) as answered:
                eventually(lambda: served.jobs == 7)
                # Whoever has had nothing is next, before those of the flood that came earlier:
                # two of these take three steps, and three more it and another.
                steps.release(8)
            assert answered[0].status_code == 200
            assert served.jobs >= 2
            steps.release(1000)
        assert sum(answer.status_code == 200 for answer in answers) == 6


def test_a_place_is_for_one_request_and_not_for_one_connection(
    tiny_home: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "r.db", requests=1) as served, served.braked() as steps:
        http = served.http()
        with asking(http, 1) as answers:
            eventually(lambda: served.jobs == 1)
            answer = http.get("/v1/models")
            assert answer.status_code == 429
            assert "1 requests are under way" in answer.json()["error"]["message"]
            assert http.get("/live").status_code == 200  # which takes none
            steps.release(100)
        assert http.get("/v1/models").status_code == 200
        assert answers[0].status_code == 200


def test_time_that_runs_out_in_the_queue_is_told(tiny_home: Path, tmp_path: Path) -> None:
    house = {"pace": Pace(live=1)}
    with serving(tmp_path / "r.db", timeout=0.3, house=house) as served, served.braked() as steps:
        http = served.http()
        with asking(http, 2) as answers:
            eventually(lambda: served.jobs == 2)
            with http.stream("POST", "/v1/completions", json={**BODY, "stream": True}) as stream:
                eventually(lambda: served.jobs == 3)
                loop = served.studio.house.engine.loop
                due = [time for time, *_ in loop.scheduler._deadlines]
                eventually(lambda: loop.clock() > max(due))
                steps.release(1000)
                last = [line for line in stream.iter_lines() if line][-1]
            assert "DeadlineError" in last
        assert {answer.status_code for answer in answers} == {408}
        assert {answer.json()["error"]["code"] for answer in answers} == {"DeadlineError"}
