"""Energy: shared out among those under way, measured where processors tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from studiolo.server.context import Context
from studiolo.server.energy import Meter
from studiolo.task.asking import Outcome
from tests.server.serving import serving


def zone(folder: Path, name: str, kind: str, joules: float, limit: float = 1000.0) -> Path:
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{kind}\n")
    (path / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")
    (path / "max_energy_range_uj").write_text(f"{limit * 1e6:.0f}\n")
    return path


def request(model: str | None) -> Context:
    return Context("POST /", "openai", model=model)


def done(context: Context) -> Context:
    context.outcome = Outcome(1, 0, 1, None, 1.0)
    return context


def test_each_moment_is_shared_by_those_of_that_moment() -> None:
    drawn = [0.0]
    meter = Meter(lambda: drawn[0], "measured", {"far"})
    first, second, listing, far = (request(name) for name in ("a", "b", None, "far"))
    meter.begin(first)
    meter.begin(listing)
    meter.begin(far)
    drawn[0] = 10.0
    meter.begin(second)
    drawn[0] = 16.0
    for context in (listing, far, first):
        meter.end(done(context))
    drawn[0] = 20.0
    meter.end(done(second))
    drawn[0] = 99.0  # nobody is there
    meter.begin(third := request("a"))
    meter.end(third)
    assert [each.joules for each in (first, second, listing, far)] == [13.0, 7.0, 0.0, 0.0]
    assert third.joules == 0.0, "it was refused"


def test_counters_of_all_processors_are_read_and_may_begin_anew(tmp_path: Path) -> None:
    one = zone(tmp_path, "intel-rapl:0", "package-0", 990.0)
    two = zone(tmp_path, "intel-rapl:1", "package-1", 5.0)
    zone(tmp_path, "intel-rapl:0:0", "core", 500.0)
    zone(tmp_path, "intel-rapl:2", "psys", 800.0)
    meter = Meter.of(50.0, powercap=tmp_path)
    assert meter.source == "measured"
    meter.begin(context := request("a"))
    zone(tmp_path, one.name, "package-0", 3.0)
    zone(tmp_path, two.name, "package-1", 7.5)
    meter.end(done(context))
    assert context.joules == pytest.approx(13.0 + 2.5)


def test_what_cannot_be_read_is_estimated_or_unknown(tmp_path: Path) -> None:
    assert Meter.of(50.0, powercap=tmp_path / "none").source == "estimated"
    (zone(tmp_path, "intel-rapl:0", "package-0", 1.0) / "energy_uj").write_text("")
    assert Meter.of(0.0, powercap=tmp_path).source == "unknown"
    unknown = Meter.of(0.0, powercap=tmp_path)
    unknown.begin(context := request("a"))
    unknown.end(done(context))
    assert context.joules == 0.0


def test_a_request_s_row_holds_what_it_took(tmp_path: Path) -> None:
    with serving(tmp_path / "records.db", watts=1e6) as own:
        http = own.http()
        http.post("/v1/completions", json={"model": "tiny", "prompt": "x", "max_tokens": 3})
        http.get("/v1/models")
        listing, answer = own.entries()[:2]
        source = http.get("/studiolo/v1/usage").json()["energy"]
        assert source in ("measured", "estimated")
        assert listing.joules == 0
        if source == "estimated":
            assert 0 < answer.joules < 1e6 * answer.seconds
