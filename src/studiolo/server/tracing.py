"""OpenTelemetry traces: a span for each request at the door, and in it one for each answer.

Notable choices. *Nothing is imported, and nothing costs anything, unless traces are wanted*: the
extra ``traces`` is installed and ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set, or a provider is handed
in. *Contents stay out* unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says so; of an
error its kind is told and not its words, which may be a prompt's. A ``traceparent`` (W3C) that
comes in is gone on from, and goes out to models elsewhere.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from torch import Tensor

from studiolo.server import spans
from studiolo.server.context import Context
from studiolo.task.asking import Answer, Choices, Ended, Event, Relay, TextAsk
from studiolo.task.embedding import Text
from studiolo.task.house import House

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.trace import Span, TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
YES = ("true", "span_only", "span_and_event")
QUIET = ("/health", "/live", "/ready", "/metrics")
"""Addresses that are asked every few seconds by whoever watches."""
FLUSH = 5000
"""Milliseconds to wait at the end for what has not been sent."""
log = logging.getLogger("studiolo.server")


class Tracing:
    """``provider``: of OpenTelemetry's API. ``content``: whether spans hold what was said."""

    def __init__(self, provider: TracerProvider, *, content: bool = False) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.content = content
        self._tracer = provider.get_tracer("studiolo", version("studiolo"))
        self._propagator = TraceContextTextMapPropagator()
        self._address = socket.gethostname()

    def headers(self) -> dict[str, str]:
        """Those by which somebody else goes on from the current span."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Span]:
        """The span of a request at the door, which is current until the end."""
        from opentelemetry.trace import SpanKind, use_span

        before = self._propagator.extract(dict(Headers(scope=scope)))
        method = scope["method"][:20]
        span = self._tracer.start_span(method, context=before, kind=SpanKind.SERVER)
        span.set_attributes({"http.request.method": method, "server.address": self._address})
        with use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            finally:
                span.end()

    @contextmanager
    def answer(self, name: str, attributes: Mapping[str, spans.Value]) -> Iterator[Span]:
        """The span of an answer, not current; an error that ends it is noted by its kind."""
        from opentelemetry.trace import SpanKind

        given = {**attributes, "server.address": self._address}
        span = self._tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=given)
        try:
            yield span
        except BaseException as error:
            failed(span, type(error).__name__)
            raise
        finally:
            span.end()


def failed(span: Span, kind: str) -> None:
    """Mark ``span`` as that of something that failed."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def from_environment(
    environment: Mapping[str, str] = os.environ,
) -> tuple[Tracing, SdkProvider] | None:
    """As the environment's ``OTEL_…`` say; None where they ask for no traces.

    The provider is to be shut down at the end.
    """
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no traces are sent: pip install 'studiolo[traces]'")
        return None
    named = {"service.version": version("studiolo")}
    if "service.name=" not in environment.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        named["service.name"] = environment.get("OTEL_SERVICE_NAME") or "studiolo"
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, content=wants_content(environment)), provider


def wants_content(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says that spans are to hold what was said."""
    return environment.get(CONTENT, "").lower() in YES


class TracedHouse(House):
    """A house whose answers have spans; otherwise as its base."""

    def __init__(self, tracing: Tracing, **options: Any) -> None:
        super().__init__(**options)
        self.tracing = tracing

    @asynccontextmanager
    async def tell(self, ask: TextAsk, **options: Any) -> AsyncIterator[Answer]:
        """As :meth:`House.tell`."""
        from opentelemetry.trace import use_span

        known = spans.asked(ask)
        if self.tracing.content:
            known |= spans.contents_asked(ask)
        async with AsyncExitStack() as held:
            named = f"{spans.operation(ask)} {ask.model}"
            span = held.enter_context(self.tracing.answer(named, known))
            with use_span(span, record_exception=False, set_status_on_exception=False):
                answer = await held.enter_async_context(super().tell(ask, **options))
            yield _Traced(answer, span, ask.model, content=self.tracing.content)

    async def embed(
        self, name: str, texts: Sequence[Text], **options: Any
    ) -> tuple[list[Tensor], int]:
        """As :meth:`House.embed`."""
        from opentelemetry.trace import use_span

        known = {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "studiolo",
            "gen_ai.request.model": name,
        }
        with self.tracing.answer(f"embeddings {name}", known) as span:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                vectors, tokens = await super().embed(name, texts, **options)
            span.set_attribute("gen_ai.usage.input_tokens", tokens)
            return vectors, tokens


class _Traced(Relay):
    """As ``answer``; what is known at its end goes into ``span``."""

    def __init__(self, answer: Answer, span: Span, model: str, *, content: bool) -> None:
        super().__init__(answer)
        self._span, self._model, self._content = span, model, content

    async def __aiter__(self) -> AsyncIterator[Event]:
        heard, reasons = Choices(), dict[int, str]()
        try:
            async for event in self._answer:
                if isinstance(event, Ended):
                    reasons[event.index] = event.reason
                if self._content:
                    heard.hear(event)
                yield event
        except Exception as error:
            failed(self._span, type(error).__name__)
            raise
        ended = [reasons[index] for index in sorted(reasons)]
        self._span.set_attributes(spans.answered(self._model, self._answer.outcome, ended))
        if self._content:
            self._span.set_attributes(spans.contents_answered(heard.made))


class Traced:
    """Wraps the whole application: a span for each request, but those that watch."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        with self._tracing.request(scope) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                _describe(span, scope)


def _describe(span: Span, scope: Scope) -> None:
    context = scope.get("studiolo")
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    if isinstance(context, Context):
        span.set_attribute("http.response.status_code", context.status)
        span.set_attribute("studiolo.request.id", context.id)
        if context.status >= 500:
            failed(span, context.error or str(context.status))
