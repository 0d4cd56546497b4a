from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from studiolo.bundle.lineage import ancestry
from studiolo.bundle.store import find
from studiolo.cli.lineage import drawn
from studiolo.training.run import Run
from tests.bundle.test_lineage import manifest
from tests.cli.conftest import Run as Command
from tests.training.small import text_file
from tests.training.tuned import COMPLETIONS, lines, tuning


def test_a_tree_has_every_model_its_data_and_its_recipe() -> None:
    base = manifest("base", "f" * 64)
    tuned = manifest("tuned", base.digest)
    console = Console(width=100, record=True)
    console.print(drawn(ancestry(tuned, {base.digest: base})))
    drawn_lines = console.export_text().splitlines()
    assert drawn_lines[0].startswith("tuned  autoregressive, MIT")
    assert [line.split()[-1] for line in drawn_lines if " data " in line] == ["d" * 12] * 2
    assert [line.split()[-1] for line in drawn_lines if " recipe " in line] == ["e" * 12] * 2
    assert any(line.split()[-3:] == ["f" * 12, "not", "here"] for line in drawn_lines)


@pytest.mark.usefixtures("home")
def test_of_what_was_trained_here(run: Command, tiny: str, tmp_path: Path) -> None:
    recipe = tuning(tiny, text_file(tmp_path), "text", training={"steps": 2})
    Run(recipe, tmp_path / "out").carry_out(resume=False)
    told = json.loads(run("lineage", str(tmp_path / "out"), "--json").out)
    parent = find(tiny)
    assert parent is not None
    assert told["parents"] == [{"digest": parent.digest, "here": False}]
    assert told["name"] == "tuned"
    ended = run("lineage", str(tmp_path / "out"))
    assert ended.out.startswith("tuned  autoregressive, unknown")
    assert "not here" in ended.out


def test_an_installed_adapter_is_found_among_the_parents(
    run: Command, tiny: str, tmp_path: Path, home: Path
) -> None:
    data = lines(tmp_path / "data.jsonl", COMPLETIONS)
    adapter = home / "adapters" / "tuned"
    recipe = tuning(tiny, data, "answers", start={"adapter": 2}, training={"steps": 2})
    Run(recipe, adapter).carry_out(resume=False)
    merged = tmp_path / "merged"
    assert run("merge", tiny, "--adapter", "tuned", "--out", str(merged)).code == 0
    told = json.loads(run("lineage", str(merged), "--json").out)
    assert [each["here"] for each in told["parents"]] == [False, True]
    assert told["parents"][1]["name"] == "tuned"


def test_a_model_that_is_not_here_is_said(run: Command) -> None:
    ended = run("lineage", "no-such-model")
    assert ended.code != 0
    assert "studiolo models" in ended.err
