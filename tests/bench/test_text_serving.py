from __future__ import annotations

from pathlib import Path

import pytest

from bench.contestants import SERVERS, Entrant
from bench.limits import Limits, Shares
from bench.measure import Standing
from bench.rounds import chosen
from bench.serving import Plan
from bench.table import plot, require_plotting
from bench.text_serving import Measured, listed, prepare, reading, told
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.store import find
from studiolo.errors import InvalidRequestError, MissingExtraError

LIMITS = Limits("avx2", 2e10, 1e10, 1e11, weight_bytes=10**8, read_products=10**8)


def test_lists_are_whole_numbers_in_order() -> None:
    assert listed("streams", "16, 1,4,4") == (1, 4, 16)
    for wrong in ("", "0", "1,", "-1", "1.5", "one"):
        with pytest.raises(InvalidRequestError, match="whole numbers"):
            listed("streams", wrong)


def test_the_share_of_products_is_told_of_a_prompt_with_little_attention() -> None:
    assert reading(Plan()) == 512
    assert reading(Plan(prompts=(22, 2048))) == 22


def test_limits_and_shares_are_told_or_why_there_are_none() -> None:
    text = told(Measured([LIMITS], [Shares(0.5, 0.7)]), Plan(), 2)
    assert "100 MB" in text
    assert "20.0 GB/s" in text
    assert "50.0 %" in text
    assert "reading 512 tokens uses 70.0 %" in text
    assert "compiler" in told(Measured(), Plan(), 2)


def test_who_reads_files_that_there_are_not_is_missing(tiny: str, tmp_path: Path) -> None:
    bundle = find(Path(tiny))
    assert bundle is not None
    ours, llama = chosen(SERVERS, "studiolo,llama.cpp")
    absent = Entrant("absent", "nowhere", "no_such_package", "pip install it", "any", "")
    here = Entrant("here", "nowhere", "json", "", llama.reads, "")
    paths, missing = prepare(OpenBundle.of(bundle), [ours, here, absent], tmp_path)
    assert paths == {"studiolo": tiny}
    assert missing == {
        "here": "reads GGUF only, and this model has none",
        "absent": "not installed: pip install it",
    }


def test_a_picture_of_any_number_of_columns(tmp_path: Path) -> None:
    try:
        require_plotting()
    except MissingExtraError:
        pytest.skip("matplotlib is not installed")
    metrics = Plan(streams=(1,), prompts=(22,)).metrics
    values = {metric.key: 1.0 for metric in metrics if metric.key != "first_busy"}
    plot([Standing("studiolo", rounds=[values])], tmp_path / "a.png", "a title", metrics)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
