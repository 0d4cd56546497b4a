"""``/metrics``: what a server does, in numbers for Prometheus.

Notable choices. *Every label is bounded*: an address is its route's, a model's name counts only
once a model has answered to it, or if it is one elsewhere, and beyond so many it is ``other``. *A
registry to each application*: two in one process do not mix. What can be read off when it is asked
for (queues, memory) is not counted along. Needs the scope ``usage``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from studiolo.server.context import Context
from studiolo.server.desk import Desk
from studiolo.server.inside import look
from studiolo.server.studio import Studio

router = APIRouter(tags=["health"])
MODELS = 100
"""Names of models that are told apart."""
METHODS = frozenset(("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"))
QUICK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONG = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
EACH = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
"""Bounds in seconds: until the first token, of a whole request, for each token after the first."""
TEXT: dict[str, Any] = {"text/plain": {}, "application/openmetrics-text": {}}


@router.get("/metrics", response_class=Response, responses={200: {"content": TEXT}})
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms, as text."""
    Desk(request).require("usage")
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(request.app.state.metrics.registry), media_type=kind)


class Metrics:
    """The counts of one application."""

    def __init__(self, studio: Studio) -> None:
        self.registry = registry = CollectorRegistry()
        self._models = set(studio.house.elsewhere)
        self._requests = Counter(
            "studiolo_requests",
            "Requests that are over.",
            ("dialect", "endpoint", "model", "status"),
            registry=registry,
        )
        self._shed = Counter(
            "studiolo_shed_requests",
            "Requests that were told to come back: the server was busy, or a key's limit reached.",
            ("reason",),
            registry=registry,
        )
        self._duration = Histogram(
            "studiolo_request_seconds",
            "From a request's arrival to the end of its answer.",
            ("dialect", "endpoint"),
            buckets=LONG,
            registry=registry,
        )
        self._first = Histogram(
            "studiolo_time_to_first_token_seconds",
            "From when an answer is begun to its first token.",
            ("model",),
            buckets=QUICK,
            registry=registry,
        )
        self._each = Histogram(
            "studiolo_time_per_output_token_seconds",
            "For each token after the first, averaged over an answer.",
            ("model",),
            buckets=EACH,
            registry=registry,
        )
        self._sums = {
            field: Counter(f"studiolo_{field}", text, ("model",), registry=registry)
            for field, text in (
                ("prompt_tokens", "Tokens of prompts."),
                ("cached_tokens", "Those of them that were known already."),
                ("completion_tokens", "Tokens of answers."),
                ("cost", "In the unit of the prices."),
                ("energy_joules", "Energy, measured or estimated."),
            )
        }
        Gauge("studiolo_build_info", "Always 1.", ("version",), registry=registry).labels(
            version("studiolo")
        ).set(1)
        registry.register(_Now(studio))

    def note(self, context: Context, endpoint: str, seconds: float) -> None:
        """A request is over. ``endpoint``: its method and its route."""
        model = self._model(context)
        status = str(context.status)
        self._requests.labels(context.dialect, endpoint, model, status).inc()
        self._duration.labels(context.dialect, endpoint).observe(seconds)
        if context.status == 429:
            self._shed.labels("limit" if context.error == "LimitError" else "busy").inc()
        outcome = context.outcome
        if outcome is None:
            return
        self._sums["prompt_tokens"].labels(model).inc(outcome.prompt_tokens)
        self._sums["cached_tokens"].labels(model).inc(outcome.cached_tokens)
        self._sums["completion_tokens"].labels(model).inc(outcome.completion_tokens)
        self._sums["cost"].labels(model).inc(max(0.0, context.cost))
        self._sums["energy_joules"].labels(model).inc(max(0.0, context.joules))
        if (first := outcome.seconds_to_first) is not None:
            self._first.labels(model).observe(first)
            if outcome.completion_tokens > 1:
                after = max(0.0, outcome.seconds - first)
                self._each.labels(model).observe(after / (outcome.completion_tokens - 1))

    def _model(self, context: Context) -> str:
        """The name of a model that is known to be one; anybody may ask for any other."""
        name = context.model or ""
        if context.outcome is not None and len(self._models) < MODELS:
            self._models.add(name)
        if not name or name in self._models:
            return name
        return "other" if context.outcome is not None else ""


class Counted:
    """Wraps the whole application, its reception too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            await self._app(scope, receive, send)
        finally:
            if isinstance(context := scope.get("studiolo"), Context):
                seconds = context.entry().seconds
                self._metrics.note(context, _endpoint(scope), seconds)


class _Now(Collector):
    """What is so at the moment."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def collect(self) -> Iterator[Metric]:
        """Read off the engine, its memory and the records."""
        house, inside = self._studio.house, look(self._studio.house)
        requests = house.engine.loop.scheduler.memory
        for name, text, values in (
            ("live_requests", "Samples under way.", {each.name: each.live for each in inside}),
            ("waiting_requests", "Samples in line.", {each.name: each.waiting for each in inside}),
            ("model_bytes", "What a model takes.", {each.name: each.bytes for each in inside}),
            (
                "prefix_bytes",
                "What is remembered of how prompts began.",
                {each.name: each.prefixes.bytes for each in inside if each.prefixes},
            ),
        ):
            family = GaugeMetricFamily(f"studiolo_{name}", text, labels=("model",))
            for model, value in values.items():
                family.add_metric((model,), value)
            yield family
        saved = CounterMetricFamily(
            "studiolo_prefix_tokens_saved",
            "Tokens of prompts that did not have to be read again.",
            labels=("model",),
        )
        busy = CounterMetricFamily(
            "studiolo_model_seconds", "Machine time that a model has had.", labels=("model",)
        )
        for each in inside:
            busy.add_metric((each.name,), each.seconds)
            if each.prefixes is not None:
                saved.add_metric((each.name,), each.prefixes.saved)
        yield from (saved, busy)
        levels: list[tuple[str, str, float]] = [
            ("request_bytes", "What requests under way may come to hold.", requests.used),
            ("request_limit_bytes", "The most that they may.", requests.limit),
            ("model_limit_bytes", "The most that models may take.", house.engine.models.limit),
            ("http_requests", "Requests under way at the door.", self._studio.room.count),
            (
                "ledger_lag_seconds",
                "For how long the oldest row of the records has been waiting to be written.",
                self._studio.records.ledger.lag,
            ),
        ]
        for name, text, level in levels:
            yield GaugeMetricFamily(f"studiolo_{name}", text, value=level)


def _endpoint(scope: Scope) -> str:
    route = getattr(scope.get("route"), "path", None)
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    return f"{method} {'unmatched' if route is None else route}"
