"""A server of replicas in processes of its own, and clients that take no wrong answer of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

READY = "Studiolo is ready at "
SINCE = re.compile(r'^studiolo_requests_created\{.*"GET /metrics".*\} (\S+)$', re.MULTILINE)
LISTENING = "0A"
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
"""As /proc writes 127.0.0.1 and ::1."""


@dataclass(frozen=True)
class Replicated:
    """``studiolo serve --on ray``, ready at ``url``; ``errors``: what it says on standard error."""

    process: subprocess.Popen[str]
    url: str
    errors: Path

    def family(self) -> dict[int, str]:
        """Its processes, the first of all among them, and what they are called."""
        parents, names = {}, {}
        for each in Path("/proc").glob("[0-9]*"):
            try:
                name = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                state, parent = (each / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(each.name)], names[int(each.name)] = int(parent), name
        found, new = set(), {self.process.pid} & set(parents)
        while new:
            found |= new
            new = {pid for pid, parent in parents.items() if parent in found} - found
        return {pid: names[pid] for pid in found}

    def replicas(self) -> list[int]:
        """Processes of replicas; Ray names them so from when one begins to be made."""
        return [pid for pid, name in self.family().items() if name.startswith("ray::ServeReplica")]

    def metrics(self) -> dict[str, str]:
        """The page of each replica that answers, by when that first was asked for it."""
        found: dict[str, str] = {}
        for i in range(16):  # each with a beginning of its own, and so at this or that replica
            got = httpx.get(f"{self.url}/metrics", headers={"x-api-key": str(i)}, timeout=60)
            found.update((since, got.text) for since in SINCE.findall(got.text))
        return found

    def listens_at(self) -> set[str]:
        """The addresses at which its processes listen, as /proc writes them."""
        sockets = set()
        for pid in self.family():
            try:
                files = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
            except OSError:
                continue
            sockets |= {each[8:-1] for each in files if each.startswith("socket:[")}
        found = set()
        for table in ("tcp", "tcp6"):
            for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                cells = row.split()
                if cells[3] == LISTENING and cells[9] in sockets:
                    found.add(cells[1].partition(":")[0])
        return found


@contextmanager
def replicated(folder: Path, *options: str) -> Iterator[Replicated]:
    """Two replicas of the model ``tiny``, their records in ``folder``."""
    program = [sys.executable, "-c", "from studiolo.cli import main; main()", "serve"]
    errors = folder / "errors"
    with errors.open("w") as said:
        process = subprocess.Popen(
            [
                *(*program, "--on", "ray", "--replicas", "2", "--port", "0", "--device", "cpu"),
                *("-m", "tiny", "--encoder", "tiny-encoder"),
                *("--records", str(folder / "records.db"), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,  # so that Ctrl-C comes to all of it, and to nothing else
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(READY), f"{line!r}: {errors.read_text()}"
        yield Replicated(process, line.removeprefix(READY).strip(), errors)
    finally:
        process.terminate()
        process.communicate(timeout=120)


@dataclass
class Heard:
    """What came of an answer: its text and its scores, and how it ended."""

    text: str = ""
    scores: list[Any] = field(default_factory=list)
    ended: bool = False
    error: Any = None

    def begins(self, other: Heard) -> bool:
        """Whether ``other`` goes on from here."""
        n = len(self.scores)
        return other.text.startswith(self.text) and other.scores[:n] == self.scores


@dataclass(frozen=True)
class Case:
    """A request, and how the lines of its stream are read into what is heard."""

    address: str
    body: Mapping[str, Any]
    read: Callable[[Any, Heard], None]


def _completion(value: Any, heard: Heard) -> None:
    for choice in value["choices"]:
        heard.text += choice["text"]
        scores = choice["logprobs"]
        heard.scores += [] if scores is None else scores["token_logprobs"]


def _chat(value: Any, heard: Heard) -> None:
    for choice in value["choices"]:
        heard.text += choice["delta"].get("content") or ""
        heard.scores += [each["logprob"] for each in (choice["logprobs"] or {}).get("content", ())]


def _message(value: Any, heard: Heard) -> None:
    heard.text += value.get("delta", {}).get("text", "")
    heard.ended |= value["type"] == "message_stop"


def _ollama(value: Any, heard: Heard) -> None:
    heard.text += value["response"]
    heard.ended |= value["done"]


def cases() -> list[Case]:
    """Of three dialects, streams and wholes, sampled and greedy."""
    found = []
    for i in range(4):
        said, plain = f"the {i} cats", {"model": "tiny", "max_tokens": 48 + 8 * i}
        turns = [{"role": "user", "content": said}]
        free = {**plain, "ignore_eos": True}
        sampled = {**free, "prompt": said, "seed": i, "logprobs": 1}
        options = {"num_predict": 60, "seed": i, "temperature": 0.8}
        found += [
            Case("/v1/completions", {**sampled, "stream": True}, _completion),
            Case("/v1/completions", sampled, _completion),
            Case(
                "/v1/chat/completions",
                {**free, "messages": turns, "seed": i, "logprobs": True, "stream": True},
                _chat,
            ),
            Case("/v1/messages", {**free, "messages": turns, "temperature": 0, "stream": True},
                 _message),
            Case("/api/generate", {"model": "tiny", "prompt": said, "options": options}, _ollama),
        ]  # fmt: skip
    return found


def hear(http: httpx.Client, case: Case) -> Heard:
    """What is answered. A refusal must say when to come back, and a stream that it is over."""
    with http.stream("POST", case.address, json=case.body) as answer:
        heard = Heard()
        if answer.status_code != 200:
            heard.error = json.loads(answer.read())["error"]
            assert answer.status_code in (429, 503, 529), heard.error
            assert int(answer.headers["retry-after"]) >= 1
            return heard
        if answer.headers["content-type"] == "application/json":
            case.read(json.loads(answer.read()), heard)
            heard.ended = True
        else:
            _listen(answer.iter_lines(), case, heard)
    assert heard.ended != (heard.error is not None), f"a torn stream: {heard}"
    return heard


def _listen(lines: Iterable[str], case: Case, heard: Heard) -> None:
    for line in lines:
        if not line or line.startswith("event: "):
            continue
        assert not heard.ended, "there is more after the end"
        assert heard.error is None, "there is more after the error"
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            heard.ended = True
            continue
        value = json.loads(data)
        heard.error = value.get("error")
        if heard.error is None:
            case.read(value, heard)


class Clients:
    """Ask without pause, each until it is answered; every answer must be the ``expected`` one."""

    def __init__(self, url: str, expected: list[tuple[Case, Heard]], count: int) -> None:
        self._url, self._expected = url, expected
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(count)]
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __enter__(self) -> Clients:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def more(self, count: int) -> None:
        """Wait until so many more are answered, or something is wrong."""
        goal = self.told["answered"] + count
        while self.told["answered"] < goal and not self.wrong:
            time.sleep(0.01)

    def _work(self, start: int) -> None:
        order = itertools.cycle(self._expected[start:] + self._expected[:start])
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._stop.is_set() and not self.wrong:
                case, right = next(order)
                try:
                    self._until_answered(http, case, right)
                except Exception as error:
                    self.wrong.append(f"{case.address}: {error!r}")

    def _until_answered(self, http: httpx.Client, case: Case, right: Heard) -> None:
        for _ in range(60):
            heard = hear(http, case)
            if heard.error is None:
                assert heard == right, f"{heard} is not {right}"
                self.told["answered"] += 1
                return
            assert heard.begins(right), f"{heard} does not begin {right}"
            self.told["broken" if heard.text else "refused"] += 1
            time.sleep(0.5)
        raise AssertionError("it was never answered")
