from __future__ import annotations

import pytest

from studiolo.cli.next import LEGEND, _so_far, blocks
from tests.cli.conftest import Run


def test_json_is_a_list_of_tokens_best_first(run: Run, tiny: str) -> None:
    found = run("next", "the cat", "-m", tiny, "-k", "8", "--json").json
    assert len(found) == 8
    assert all(set(each) == {"token", "id", "probability"} for each in found)
    probabilities = [each["probability"] for each in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1


def test_the_dials_shape_what_is_shown(run: Run, tiny: str) -> None:
    plain = run("next", "the cat", "-m", tiny, "-k", "3", "--json").json
    sharp = run("next", "the cat", "-m", tiny, "-k", "3", "--json", "--temperature", "0.1").json
    assert [t["id"] for t in sharp] == [t["id"] for t in plain]
    assert sharp[0]["probability"] > plain[0]["probability"]
    kept = run("next", "the cat", "-m", tiny, "--json", "--top-k", "2").json
    assert sum(t["probability"] for t in kept) == pytest.approx(1)


def test_bars_are_as_long_as_the_probabilities(run: Run, tiny: str) -> None:
    lines = run("next", "the cat", "-m", tiny, "-k", "4").out.splitlines()
    bars = [line.count("█") for line in lines]
    assert len(bars) == 4
    assert bars[0] == 40
    assert bars == sorted(bars, reverse=True)
    assert all("%" in line for line in lines)


def test_a_walk_shows_every_fork_and_the_text_it_made(run: Run, tiny: str) -> None:
    asked = ("next", "the cat", "-m", tiny, "-k", "4", "--steps", "3", "--seed", "2")
    walked = run(*asked, "--json").json
    assert len(walked) == 3
    for fork in walked:
        assert len(fork["candidates"]) == 4
        assert fork["greedy"]["id"] == fork["candidates"][0]["id"]
        assert {"token", "id", "probability", "kept"} == set(fork["candidates"][0])
    shown = run(*asked).out
    assert shown.count("●") == 9 + LEGEND.count("●")
    assert LEGEND in shown
    assert shown.count("the cat") == 4
    assert run(*asked, "--json").json == walked, "the same seed walks the same way"


@pytest.mark.parametrize(
    ("columns", "bar"), [(0, ""), (1, "█"), (2.5, "██▌"), (0.99, "█"), (0.13, "▏")]
)
def test_blocks(columns: float, bar: str) -> None:
    assert blocks(columns) == bar


def test_wrong_inputs(run: Run, tiny: str) -> None:
    assert "error: top_p: 7.0 is not" in run("next", "x", "-m", tiny, "--top-p", "7").err
    assert run("next", "x", "-m", tiny, "-k", "0").code == 2
    assert "prompt: is empty" in run("next", "", "-m", tiny).err
    for seed in ("-1", str(2**63)):
        refused = run("next", "x", "-m", tiny, "--steps", "1", "--seed", seed)
        assert refused.code == 2
        assert "error: seed: must be a whole number" in refused.err


def test_a_walk_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert _so_far("a\x1b[2J", "b\x9bc").plain == "a\\x1b[2Jb\\x9bc"
