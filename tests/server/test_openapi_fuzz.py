"""The server against its own OpenAPI document, of which schemathesis makes requests.

Pulls are left out: they would reach out into the network, and have tests of their own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.eventstream  # type: ignore[import-untyped]
import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as conforming

from studiolo.record.contents import Policy
from tests.server.serving import Served, serving

CHECKS = [
    checks.not_a_server_error,
    conforming.status_code_conformance,
    conforming.content_type_conformance,
    conforming.response_headers_conformance,
    conforming.response_schema_conformance,
]
NEVER = {
    "POST /v1/moderations": "there is no such model",
    "POST /v1/batches/{id}/cancel": "the batch may be over already",
    "DELETE /api/delete": "the other operations need the models",
    "DELETE /studiolo/v1/models/{model}": "the other operations need the models",
    "DELETE /studiolo/v1/keys/{id}": "the one key is the one that asks",
}
"""What perhaps no case succeeds in, and why."""
LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "maxTokens")
TURN = {"role": "user", "content": [{"text": "rain"}]}
LLAMA = {"prompt": "rain", "max_gen_len": 2}
PARTS: Mapping[str, Mapping[str, Any]] = {
    "POST /model/{model_id}/converse": {"messages": [TURN]},
    "POST /model/{model_id}/converse-stream": {"messages": [TURN]},
    "POST /model/{model_id}/count-tokens": {"input": {"converse": {"messages": [TURN]}}},
    "POST /studiolo/v1/continue": {"messages": None, "prompt": "rain", "begun": None},
}
"""Of bodies, where what their schema allows is seldom what the server can take."""
WHOLES = {
    "POST /model/{model_id}/invoke": LLAMA,
    "POST /model/{model_id}/invoke-with-response-stream": LLAMA,
    "POST /studiolo/v1/keys": {"name": "another"},
}
"""Bodies where their schema says nothing, or where most of what it allows does not go together."""


@pytest.fixture
def served(tmp_path: Path, tiny_home: Path) -> Iterator[Served]:
    with serving(tmp_path / "records.db", policy=Policy(contents=True, receipts=True)) as running:
        yield running


@dataclass(frozen=True)
class There:
    """What there is on the server to ask for."""

    response: str
    answer: str
    file: str
    batch: str

    @classmethod
    def made(cls, http: httpx.Client) -> There:
        def post(path: str, **what: Any) -> str:
            return str(http.post(path, **what).raise_for_status().json()["id"])

        line = {"custom_id": "a", "method": "POST", "url": "/v1/completions"}
        lines = json.dumps(line | {"body": {"model": "tiny", "prompt": "a", "max_tokens": 2}})
        file = post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", lines)})
        batch = {"endpoint": "/v1/completions", "completion_window": "24h", "input_file_id": file}
        asked = {"model": "tiny", "prompt": "rain", "max_tokens": 2}
        return cls(
            post("/v1/responses", json={"model": "tiny", "input": "a", "max_output_tokens": 2}),
            post("/v1/completions", json=asked),
            file,
            post("/v1/batches", json=batch),
        )

    def id(self, path: str) -> str:
        """Of what the addresses ``path`` are about."""
        kinds = {"responses": self.response, "files": self.file, "batches": self.batch}
        return next((id for kind, id in kinds.items() if f"/{kind}/" in path), self.answer)

    def plausible(self, case: Any, bare: bool) -> None:
        """Ask ``case`` for what there is, and not for long, so that more than names is tried;
        unless it is to stay ``bare``, also in a body that can be taken."""
        label = case.operation.label
        if label in NEVER:
            return
        places, body = case.path_parameters or {}, case.body
        name = "tiny-encoder" if "embed" in case.path else "tiny"
        for field in {"model", "model_id", "identifier"} & set(places):
            places[field] = name
        if "id" in places and not bare:
            places["id"] = self.id(case.path)
        if isinstance(body, dict):
            if isinstance(body.get("model"), str):
                body["model"] = name
            if not bare:
                body.update(PARTS.get(label, {}))
                if label == "POST /v1/batches":
                    body.update(input_file_id=self.file, endpoint="/v1/completions")
                if label == "POST /v1/feedback":
                    body["request_id"] = self.answer
                case.body = WHOLES.get(label, body)
        shorten(case.body)


def shorten(value: Any) -> None:
    """Ask for few tokens wherever a number of them is asked for."""
    if isinstance(value, dict):
        for field, each in value.items():
            if field in LENGTHS and isinstance(each, int) and each > 4:
                value[field] = 4
            shorten(each)


def ends(content: bytes, kind: str) -> bool:
    """Whether an answer, if it is a stream, ends where an event does."""
    if kind.startswith("text/event-stream"):
        return content.endswith(b"\n\n")
    if kind.startswith("application/x-ndjson"):
        return content.endswith(b"\n")
    if kind.startswith("application/vnd.amazon.eventstream"):
        buffer = botocore.eventstream.EventStreamBuffer()
        buffer.add_data(content)
        return bool(list(buffer)) and not buffer._data
    return True


@pytest.mark.proof
def test_it_answers_as_it_says(served: Served, proof: Callable[..., int]) -> None:
    """Bodies made of the OpenAPI document: no 5xx, and every answer of a shape that it names."""
    asked = proof("openapi-fuzz", short=300, full=10_000)
    key = served.studio.records.keys.create(name="fuzz", scopes=["admin"]).secret
    told = {"Authorization": f"Bearer {key}"}
    http = served.http(headers=told)
    schema: Any = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
    schema.config.update(base_url=served.url)
    operations = [each.ok() for each in schema.get_all_operations()]
    operations = [each for each in operations if not each.path.endswith("/pull")]
    operations.sort(key=lambda each: each.method == "delete")  # when all others have asked
    seen: Counter[tuple[str, int]] = Counter()

    def send(case: Any, bare: bool) -> None:
        there.plausible(case, bare)
        answer = case.call(headers=told, timeout=60)
        seen[case.operation.label, answer.status_code // 100] += 1
        case.validate_response(answer, checks=CHECKS)
        assert ends(answer.content, answer.headers.get("content-type", [""])[0])

    some = hypothesis.settings(
        max_examples=max(4, asked // 200),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    turn, missing = 0, {each.label for each in operations}
    while seen.total() < asked or (missing - NEVER.keys() and turn < 5):
        there = There.made(http)
        for operation in operations:
            for mode in GenerationMode:
                cases = operation.as_strategy(generation_mode=mode)
                sent = hypothesis.given(cases, strategies.booleans())(send)
                with suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
                    hypothesis.seed(turn)(some(sent))()
        turn += 1
        missing -= {label for label, family in seen if family == 2}
    assert missing <= NEVER.keys()
