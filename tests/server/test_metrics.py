"""/metrics, read as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from studiolo.server import metrics
from studiolo.server.settings import Price
from tests.server.held import held
from tests.server.serving import Served, serving

ASK = {"model": "tiny", "prompt": "the cat sat", "max_tokens": 5, "ignore_eos": True}
Labels = frozenset[tuple[str, str]]


def read(served: Served, **headers: str) -> dict[tuple[str, Labels], float]:
    """Every sample by name and labels."""
    answer = served.http().get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return found[f"studiolo_{name}", frozenset(labels.items())]


def test_requests_tokens_and_times_are_counted(tmp_path: Path) -> None:
    prices = {"tiny": Price(1e6, 1e6)}
    with serving(tmp_path / "records.db", prices=prices, house={"prefix_memory": 1 << 20}) as own:
        http = own.http()
        long = {**ASK, "prompt": "the cat sat on the mat " * 20}
        took = [http.post("/v1/completions", json=long).json()["usage"] for _ in range(2)]
        http.post("/v1/completions", json={**ASK, "max_tokens": 9999})
        http.post("/v1/completions", json={**ASK, "model": "nobody"})
        found = read(own)
        ask = {"dialect": "openai", "endpoint": "POST /v1/completions"}
        assert value(found, "requests_total", **ask, model="tiny", status="200") == 2
        assert value(found, "requests_total", **ask, model="tiny", status="400") == 1
        assert value(found, "requests_total", **ask, model="", status="404") == 1
        assert value(found, "request_seconds_count", **ask) == 4
        prompts = sum(each["prompt_tokens"] for each in took)
        cached = took[1]["prompt_tokens_details"]["cached_tokens"]
        assert cached > 0
        assert value(found, "prompt_tokens_total", model="tiny") == prompts
        assert value(found, "cached_tokens_total", model="tiny") == cached
        assert value(found, "prefix_tokens_saved_total", model="tiny") == cached
        assert value(found, "completion_tokens_total", model="tiny") == 10
        assert value(found, "cost_total", model="tiny") == prompts + 10
        assert value(found, "time_to_first_token_seconds_count", model="tiny") == 2
        assert value(found, "time_per_output_token_seconds_count", model="tiny") == 2
        assert value(found, "model_bytes", model="tiny") > 0
        assert value(found, "model_seconds_total", model="tiny") > 0
        assert value(found, "prefix_bytes", model="tiny") > 0
        assert value(found, "http_requests") == 1
        assert value(found, "ledger_lag_seconds") >= 0
        (version,) = [dict(key[1]) for key in found if key[0] == "studiolo_build_info"]
        assert version["version"]


def test_who_is_under_way_and_who_waits(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db") as own, held(own.studio.house, waiting=3):
        found = read(own)
        assert value(found, "live_requests", model="tiny") == 1
        assert value(found, "waiting_requests", model="tiny") == 3
        assert value(found, "request_bytes") > 0


def test_labels_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "records.db") as own:
        http = own.http()
        for i in range(20):
            http.get(f"/nowhere/{i}")
            http.get(f"/studiolo/v1/models/none-{i}")
            http.post("/v1/completions", json={**ASK, "model": f"none-{i}"})
            http.request(f"METHOD{i}", "/")
        found = read(own)
        names = [dict(labels) for name, labels in found if name == "studiolo_requests_total"]
        assert {each["endpoint"] for each in names} == {
            "GET unmatched",
            "GET /studiolo/v1/models/{model}",
            "POST /v1/completions",
            "OTHER /",
        }
        assert {each["model"] for each in names} == {""}
        monkeypatch.setattr(metrics, "MODELS", 1)
        for model in ("tiny", "tiny-encoder"):
            http.post("/v1/embeddings", json={"model": model, "input": "x"})
            http.post("/v1/completions", json={**ASK, "model": model})
        found = read(own)
        models = {dict(labels)["model"] for name, labels in found if name.endswith("tokens_total")}
        assert len(models - {"other"}) == 1


def test_who_is_told_to_come_back_is_counted(tmp_path: Path) -> None:
    from studiolo.record.grant import Limits

    with serving(tmp_path / "records.db") as own:
        keys = own.studio.records.keys
        slow = keys.create(name="slow", limits=Limits(requests_per_minute=1))
        watch = keys.create(name="watch", scopes=["usage"])
        http = own.http(headers={"authorization": f"Bearer {slow.secret}"})
        statuses = [http.post("/v1/completions", json=ASK).status_code for _ in range(3)]
        assert statuses == [200, 429, 429]
        found = read(own, authorization=f"Bearer {watch.secret}")
        assert value(found, "shed_requests_total", reason="limit") == 2
        assert http.get("/metrics").status_code == 403
        assert own.http().get("/metrics").status_code == 401


def test_openmetrics_is_spoken_to_who_asks_for_it(served: Served) -> None:
    answer = served.http().get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.rstrip().endswith("# EOF")


def test_two_applications_do_not_mix(tmp_path: Path, served: Served) -> None:
    served.http().get("/v1/models")
    with serving(tmp_path / "records.db") as own:
        found: dict[Any, float] = read(own)
        assert not [name for name, _ in found if name == "studiolo_requests_total"]
