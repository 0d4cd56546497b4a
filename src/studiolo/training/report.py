"""What a run came to, as one HTML page that needs nothing else: facts, curves, samples.

The curves are drawn here, as SVG, from the run's log. Every text is escaped: a sample may be
anything. Knows the log's lines; does not know the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from studiolo.record.journal import replace_file
from studiolo.training.curve import Line, curves
from studiolo.training.log import read_log
from studiolo.training.publish import Facts
from studiolo.training.recipe import Recipe
from studiolo.training.size import Plan

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"
    "pre{white-space:pre-wrap;border-left:3px solid #b5651d;padding-left:1rem}"
    "svg{width:100%;height:auto}h2{margin-top:2rem}"
)


def write_report(path: Path, log: Path, recipe: Recipe, plan: Plan, facts: Facts) -> None:
    """Write the page of the run whose log is at ``log``."""
    replace_file(path, report(list(read_log(log)), recipe, plan, facts).encode())


def report(lines: Sequence[Mapping[str, Any]], recipe: Recipe, plan: Plan, facts: Facts) -> str:
    """The page."""
    training = Line("training", points(lines, "smooth"))
    validation = Line("validation", points(lines, "validation"))
    rows = {
        "parameters": f"{plan.config.parameters:,}",
        "licence": facts.licence,
        **facts.details,
        **{name.replace("_", " "): f"{value:.4f}" for name, value in facts.quality.items()},
        **{name: value for name, value, _ in plan.lines()},
        "recipe (SHA-256)": recipe.digest,
    }
    samples = [line for line in lines if "sample" in line]
    shown = samples[:: max(1, len(samples) // 4)][-4:]
    if samples and samples[-1] not in shown:
        shown.append(samples[-1])
    parts = [
        f"<h1>{escape(recipe.name)}</h1>",
        "<h2>Loss (nats a token)</h2>",
        curves([training, validation], "steps"),
        "<h2>Gradient norm</h2>",
        curves([Line("norm", points(lines, "norm"))], "steps"),
        "<h2>Facts</h2>",
        "<table>" + "".join(_row(name, value) for name, value in rows.items()) + "</table>",
        "<h2>What it wrote</h2>",
        *(f"<h3>after step {s['step']:,}</h3><pre>{escape(s['sample'])}</pre>" for s in shown),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(recipe.name)}</title><style>{STYLE}</style>\n" + "\n".join(parts) + "\n"
    )


def points(lines: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """What the log says of ``name``, by step."""
    return [(line["step"], line[name]) for line in lines if name in line]


def _row(name: str, value: str) -> str:
    return f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
