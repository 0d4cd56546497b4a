"""Traces, into memory and to a receiver of OTLP over HTTP on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from studiolo.server.tracing import TracedHouse, Tracing, from_environment, wants_content
from studiolo.task.remote.models import open_remotes
from studiolo.task.remote.settings import Remote
from tests.server.serving import Served, serving

ASK: dict[str, Any] = {
    "model": "tiny", "messages": [{"role": "user", "content": "the secret rain"}],
    "max_tokens": 4, "temperature": 0.5, "seed": 3, "ignore_eos": True,
}  # fmt: skip
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traces:
    """What has been told so far."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, name: str) -> ReadableSpan:
        (found,) = [each for each in self.spans() if each.name == name]
        return found

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@contextmanager
def traced(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, content: bool = False, **house: Any
) -> Iterator[tuple[Served, Traces]]:
    """A server whose house is traced."""
    traces = Traces()
    tracing = Tracing(traces.provider, content=content)
    monkeypatch.setattr("tests.server.serving.House", partial(TracedHouse, tracing))
    with serving(path / "records.db", house=house) as running:
        yield running, traces


def test_an_answer_has_a_span_in_that_of_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(tmp_path, monkeypatch) as (running, traces):
        http = running.http(headers={"traceparent": PARENT})
        usage = http.post("/v1/chat/completions", json=ASK).json()["usage"]
        with http.stream("POST", "/v1/chat/completions", json={**ASK, "stream": True}) as stream:
            stream.read()
    chats = [span for span in traces.spans() if span.name == "chat tiny"]
    doors = [span for span in traces.spans() if span.name == "POST /v1/chat/completions"]
    assert len(chats) == len(doors) == 2
    for chat, door in zip(chats, doors, strict=True):
        assert chat.kind == SpanKind.INTERNAL
        found = attributes(chat)
        assert found.pop("server.address")
        assert found.pop("gen_ai.response.time_to_first_chunk") > 0
        assert found == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "studiolo",
            "gen_ai.output.type": "text",
            "gen_ai.request.model": "tiny",
            "gen_ai.request.max_tokens": 4,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.seed": 3,
            "gen_ai.response.model": "tiny",
            "gen_ai.response.finish_reasons": ("length",),
            "gen_ai.usage.input_tokens": usage["prompt_tokens"],
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.cache_read.input_tokens": 0,
        }
        assert chat.status.status_code == StatusCode.UNSET
        assert chat.parent is not None
        assert door.context is not None
        assert chat.parent.span_id == door.context.span_id
        assert door.kind == SpanKind.SERVER
        assert door.parent is not None
        assert f"{door.parent.trace_id:032x}" == PARENT.split("-")[1]
        assert f"{door.parent.span_id:016x}" == PARENT.split("-")[2]
        told = attributes(door)
        assert told["http.route"] == "/v1/chat/completions"
        assert told["http.response.status_code"] == 200
        assert told["studiolo.request.id"].startswith("req_")
    everything = " ".join(span.to_json() for span in traces.spans())
    assert "secret" not in everything, "contents stay out"


def test_contents_are_told_if_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(tmp_path, monkeypatch, content=True) as (running, traces):
        made = running.http().post("/v1/chat/completions", json=ASK).json()
    found = attributes(traces.named("chat tiny"))
    (said,) = json.loads(found["gen_ai.input.messages"])
    assert said["parts"] == [{"type": "text", "content": "the secret rain"}]
    (answer,) = json.loads(found["gen_ai.output.messages"])
    assert answer["parts"][0]["content"] == made["choices"][0]["message"]["content"]


def test_failures_are_told_by_their_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(tmp_path, monkeypatch) as (running, traces):
        http = running.http()
        http.post("/v1/chat/completions", json={**ASK, "max_tokens": 9999})
        http.get("/nowhere")
        http.get("/live")
        http.get("/metrics")
    chat = traces.named("chat tiny")
    assert attributes(chat)["error.type"] == "ContextOverflowError"
    assert chat.status.status_code == StatusCode.ERROR
    assert chat.status.description is None
    assert chat.events == ()
    door = traces.named("POST /v1/chat/completions")
    assert attributes(door)["http.response.status_code"] == 400
    assert door.status.status_code == StatusCode.UNSET, "no fault of the server"
    assert attributes(traces.named("GET"))["http.response.status_code"] == 404
    assert len(traces.spans()) == 3, "who watches is not told of"


def test_vectors_have_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with traced(tmp_path, monkeypatch) as (running, traces):
        running.http().post("/v1/embeddings", json={"model": "tiny-encoder", "input": "ab"})
    found = attributes(traces.named("embeddings tiny-encoder"))
    assert found["gen_ai.operation.name"] == "embeddings"
    assert found["gen_ai.usage.input_tokens"] == 4


def test_the_trace_goes_on_in_a_model_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "back").mkdir()
    with traced(tmp_path / "back", monkeypatch) as (back, behind):
        remote = Remote(dialect="openai", url=f"{back.url}/v1", model="tiny")
        ahead = Traces()
        tracing = Tracing(ahead.provider)
        monkeypatch.setattr("tests.server.serving.House", partial(TracedHouse, tracing))
        elsewhere = open_remotes({"far": remote}, tracing.headers)
        with serving(tmp_path / "records.db", house={"elsewhere": elsewhere}) as front:
            body = {**ASK, "model": "far", "ignore_eos": False}
            assert front.http().post("/v1/chat/completions", json=body).status_code == 200
    chat, door = ahead.named("chat far"), behind.named("POST /v1/chat/completions")
    assert chat.context is not None
    assert door.parent is not None
    assert door.parent.span_id == chat.context.span_id
    assert door.parent.trace_id == chat.context.trace_id


class _Receiver(BaseHTTPRequestHandler):
    bodies: list[tuple[str, bytes]]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An OTLP receiver: its address, and what came."""
    bodies: list[tuple[str, bytes]] = []
    handler = type("Handler", (_Receiver,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
        server.shutdown()
        thread.join()


def test_spans_are_sent_where_the_environment_says(
    receiver: tuple[str, list[tuple[str, bytes]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    address, bodies = receiver
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "my-studiolo")
    made = from_environment()
    assert made is not None
    tracing, provider = made
    assert not tracing.content
    monkeypatch.setattr("tests.server.serving.House", partial(TracedHouse, tracing))
    with serving(tmp_path / "records.db") as running:
        running.http().post("/v1/chat/completions", json=ASK)
    provider.shutdown()
    requests = []
    for path, body in bodies:
        assert path == "/v1/traces"
        spelled = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        requests.append(ExportTraceServiceRequest.FromString(spelled))
    resources = [each for request in requests for each in request.resource_spans]
    named = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert named["service.name"] == "my-studiolo"
    assert named["service.version"]
    names = [span.name for each in resources for scope in each.scope_spans for span in scope.spans]
    assert sorted(names) == ["POST /v1/chat/completions", "chat tiny"]


def test_nothing_is_asked_for_and_the_sdk_is_not_imported() -> None:
    assert from_environment({}) is None
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert from_environment({**endpoint, "OTEL_SDK_DISABLED": "true"}) is None
    program = (
        "import sys; import studiolo.server.app; from studiolo.server.tracing import "
        "from_environment as f; assert f({}) is None; "
        "assert not [m for m in sys.modules if m.startswith('opentelemetry.sdk')]"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_without_the_extra_it_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is None
    assert "pip install 'studiolo[traces]'" in caplog.text


def test_contents_are_opt_in() -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    assert not wants_content({})
    assert not wants_content({name: "false"})
    assert not wants_content({name: "event_only"})
    assert wants_content({name: "True"})
    assert wants_content({name: "SPAN_ONLY"})
