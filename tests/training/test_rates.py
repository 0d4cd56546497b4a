from __future__ import annotations

import math
from pathlib import Path

import pytest

from studiolo.training.rates import (
    HIGHEST,
    LOWEST,
    MARGIN,
    STEPS,
    Rates,
    find_rates,
    page,
    rising,
    step_of,
    write_page,
)
from studiolo.training.run import Run
from tests.training import several
from tests.training.conftest import Several
from tests.training.small import small_recipe, text_file
from tests.training.test_report import Tags


def test_rates_rise_evenly_in_their_logarithm() -> None:
    assert rising(0) == LOWEST
    assert rising(STEPS - 1) == pytest.approx(HIGHEST)
    ratios = [rising(i + 1) / rising(i) for i in range(STEPS - 1)]
    assert ratios == pytest.approx([ratios[0]] * (STEPS - 1))
    assert [step_of(rising(i)) for i in range(STEPS)] == list(range(STEPS))


def bowl(lowest: int, burst: bool = True) -> Rates:
    """A loss that falls to a step and rises after it."""
    losses = [1 + abs(i - lowest) / STEPS for i in range(STEPS)]
    return Rates(losses, rate=0.01, matrix_rate=0.02, burst=burst)


@pytest.mark.parametrize("lowest", [30, 60, 80])
def test_what_is_suggested_lies_below_where_the_loss_is_lowest(lowest: int) -> None:
    found = bowl(lowest)
    assert found.lowest == pytest.approx(rising(lowest))
    assert found.suggested == pytest.approx(rising(lowest) / MARGIN)
    settings = found.settings()
    assert settings["optimiser.rate"] == pytest.approx(0.01 * found.suggested, rel=0.05)
    assert settings["optimiser.matrix_rate"] == pytest.approx(0.02 * found.suggested, rel=0.05)


def test_a_single_low_step_is_no_minimum() -> None:
    losses = [1 + abs(i - 60) / 10 for i in range(STEPS)]
    losses[10] = 0.9
    assert Rates(losses, 0.01, None, False).lowest == pytest.approx(rising(60), rel=0.3)
    assert "optimiser.matrix_rate" not in Rates(losses, 0.01, None, False).settings()


def test_adamws_rates_are_found_and_the_folder_is_left_alone(tmp_path: Path) -> None:
    """What is suggested learns better than a tenth and ten times of it."""
    recipe = small_recipe(text_file(tmp_path), optimiser={"kind": "adamw"})
    rates = find_rates(Run(recipe, tmp_path / "out"))
    assert rates is not None
    assert not (tmp_path / "out").exists()
    assert len(rates.losses) <= STEPS
    (rate,) = rates.settings().values()
    ends = []
    for factor in (0.1, 1, 10):
        optimiser = {"kind": "adamw", "rate": min(10.0, rate * factor)}
        recipe = small_recipe(text_file(tmp_path), optimiser=optimiser, watch={"sample": 0})
        result = Run(recipe, tmp_path / f"out-{factor}").carry_out(resume=False)
        ends.append(result.validation_loss)
    assert min(ends) == ends[1]


def test_a_burst_ends_it(tmp_path: Path) -> None:
    recipe = small_recipe(text_file(tmp_path), optimiser={"rate": 10.0, "clip": None})
    rates = find_rates(Run(recipe, tmp_path / "out"))
    assert rates is not None
    assert rates.burst
    assert len(rates.losses) < STEPS
    assert all(map(math.isfinite, rates.losses))


def test_two_processes_find_the_same(two: Several) -> None:
    first, second = (told["rates"] for told in two.told)
    assert first == second
    known = several.recipes(two.folder, "")["adamw"]
    assert first == pytest.approx(several.rates(two.folder, known), abs=1e-5)
    assert not (two.folder / "rates").exists()


def test_it_can_be_stopped(tmp_path: Path) -> None:
    assert (
        find_rates(Run(small_recipe(text_file(tmp_path)), tmp_path / "out"), lambda: True) is None
    )


def test_the_page_stands_where_a_run_may_begin_yet(tmp_path: Path) -> None:
    recipe = small_recipe(text_file(tmp_path), training={"steps": 2})
    path = write_page(tmp_path / "out", "<b>rhyme", bowl(60))
    assert path == tmp_path / "out" / "training" / "rates.html"
    tags = Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    assert tags.names.count("polyline") == 2
    assert not {"script", "b"} & {*tags.names}
    Run(recipe, tmp_path / "out").carry_out(resume=False)
    assert path.exists()


def test_the_page_says_what_was_found() -> None:
    assert "optimiser.matrix_rate" in page("rhyme", bowl(60))
    assert "<td>nowhere</td>" in page("rhyme", bowl(60, burst=False))
    assert "<td>at 100 times</td>" in page("rhyme", bowl(60))
