from __future__ import annotations

import json

import pytest
from rich.console import Console

from bench.door import Measured, Plan, Texts, completed, rate, round_of, table_of
from bench.process import ContestantError
from bench.serving import SHORT, Prompts
from bench.wire import Reply


def steady(per_token: float, per_request: float) -> tuple[list[tuple[int, int]], object]:
    """Something that takes so long, and what it was asked."""
    seen: list[tuple[int, int]] = []

    def together(prompts: Prompts, count: int) -> float:
        seen.append((len(prompts), count))
        return per_request + per_token * len(prompts) * count

    return seen, together


def test_both_are_measured_by_turns_on_the_same_prompts() -> None:
    asked: list[tuple[str, Prompts, int]] = []

    def named(name: str, per_token: float, per_request: float) -> object:
        def together(prompts: Prompts, count: int) -> float:
            asked.append((name, prompts, count))
            return per_request + per_token * len(prompts) * count

        return together

    plan, measured = Plan(streams=3, tokens=10, requests=2), Measured()
    texts = Texts(range(plan.needed(2)))
    engine, door = named("engine", 0.01, 0.5), named("door", 0.0125, 0.501)
    for _ in range(2):
        round_of(engine, door, texts, plan, measured)  # type: ignore[arg-type]
    assert [name for name, _, _ in asked[:8]] == ["engine"] * 2 + ["door"] * 2 + [
        "engine",
        "door",
    ] * 2
    assert [prompts for _, prompts, _ in asked[:2]] == [prompts for _, prompts, _ in asked[2:4]]
    of_engine = [tuple(p) for name, prompts, _ in asked if name == "engine" for p in prompts]
    assert len(set(of_engine)) == len(of_engine)
    assert measured.share.median == pytest.approx(0.8)
    assert measured.added.median == pytest.approx(3.5)
    console = Console(width=140, record=True)
    console.print(table_of(measured, "title"))
    shown = console.export_text()
    assert "80.0%" in shown
    assert "+ 3.50" in shown


def test_reading_is_not_counted() -> None:
    seen, together = steady(0.01, 100.0)
    prompts = [[1] * SHORT] * 4
    assert rate(together, prompts, prompts, 50) == pytest.approx(100)  # type: ignore[arg-type]
    assert seen == [(4, 1), (4, 51)]


def test_prompts_run_out() -> None:
    texts = Texts(range(3 * SHORT))
    assert [prompt[0] for prompt in texts.take(2)] == [0, SHORT]
    with pytest.raises(ContestantError, match="too little text"):
        texts.take(2)


def test_a_stream_says_how_many_tokens_it_has() -> None:
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": 7}}).encode()
    body = b'data: {"choices": []}\n\ndata: ' + usage + b"\n\ndata: [DONE]\n\n"
    assert completed(Reply(200, {}, body, whole=True)) == 7
    assert completed(Reply(200, {}, body, whole=False)) is None
    assert completed(Reply(429, {}, b"{}", whole=True)) is None
