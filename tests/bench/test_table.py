from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from rich.console import Console

from bench.contestants import ENTRANTS
from bench.measure import METRICS, Standing
from bench.rounds import chosen
from bench.table import plot, require_plotting, standings_table
from studiolo.errors import InvalidRequestError, MissingExtraError


def standing(name: str, value: float) -> Standing:
    values = {metric.key: value for metric in METRICS}
    return Standing(name, "1.0", rounds=[values, values], ids={22: [1, 2], 512: [3]})


def shown(standings: list[Standing]) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(standings_table(standings, "studiolo", "transformers", "a title"))
        return console.export_text()


def test_table_shows_ratio_and_agreement() -> None:
    text = shown([standing("studiolo", 10), standing("transformers", 5)])
    assert "a title" in text
    assert "0.50×" in text
    assert "2.00×" in text
    assert "2 after 22" in text


def test_table_stands_without_peers_and_with_failures() -> None:
    text = shown([standing("studiolo", 10), Standing("llama.cpp", rounds=[None], problem="gone")])
    assert "llama.cpp" in text
    assert "–" in text


def test_unknown_contestant_is_refused_by_name() -> None:
    assert [entrant.name for entrant in chosen(ENTRANTS, "openvino,studiolo")] == [
        "studiolo",
        "openvino",
    ]
    with pytest.raises(InvalidRequestError, match="nobody"):
        chosen(ENTRANTS, "studiolo,nobody")


def test_plot_or_the_extra_that_it_needs(tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        with pytest.raises(MissingExtraError, match="bench"):
            require_plotting()
        return
    picture = tmp_path / "plot.png"
    plot([standing("studiolo", 10), standing("transformers", 5)], picture, "a title")
    assert picture.read_bytes().startswith(b"\x89PNG")
