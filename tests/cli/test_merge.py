from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from studiolo.bundle.pull import pull
from studiolo.bundle.store import find
from studiolo.training.run import Run as Training
from tests.adapters import for_directory
from tests.cli.conftest import Run
from tests.training.small import text_file
from tests.training.tuned import tuning

SAID = ("the cat sat", "--max-tokens", "12", "--temperature", "0", "--json")


def test_a_merged_model_writes_what_base_and_adapter_do(
    run: Run, tiny: str, home: Path, tmp_path: Path
) -> None:
    base = pull(f"{tiny}/", name="tiny")
    for_directory(tiny, home / "adapters" / "tuned")
    out = str(tmp_path / "out")
    ended = run("merge", "tiny", "--adapter", "tuned", "--out", out)
    assert ended.code == 0, ended.err
    assert ended.out == f"{out}\n"
    assert "14 matrices changed; licence: unknown" in ended.err
    merged = run("generate", *SAID, "--model", out)
    beside = run("generate", *SAID, "--model", "tiny", "--adapter", "tuned")
    alone = run("generate", *SAID, "--model", "tiny")
    assert merged.code == beside.code == alone.code == 0
    assert merged.json["text"] == beside.json["text"] != alone.json["text"]
    told = run("lineage", out, "--json").json
    parents = told["parents"]
    assert [each.get("name") for each in parents] == ["tiny", None]
    assert parents[0]["digest"] == base.digest
    drawn = run("lineage", out).out
    assert "tiny" in drawn
    assert parents[1]["digest"][:12] in drawn


def test_json_names_digest_licence_and_parents(run: Run, tiny: str, tmp_path: Path) -> None:
    adapter = for_directory(tiny, tmp_path / "tuned")
    out = tmp_path / "out"
    ended = run("merge", tiny, "--adapter", str(adapter), "--out", str(out), "--json")
    kept = json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    base = find(tiny)
    assert base is not None
    assert ended.json == {
        "path": str(out),
        "digest": kept["digest"],
        "licence": "unknown",
        "matrices": 14,
        "parents": kept["lineage"]["parents"],
    }
    assert ended.json["parents"][0] == base.digest


@pytest.mark.usefixtures("home")
def test_what_was_trained_here_is_merged_with_its_lineage(
    run: Run, tiny: str, tmp_path: Path
) -> None:
    recipe = tuning(tiny, text_file(tmp_path), "text", start={"adapter": 2})
    Training(recipe, tmp_path / "tuned").carry_out(resume=False)
    out = str(tmp_path / "out")
    ended = run("merge", tiny, "--adapter", str(tmp_path / "tuned"), "--out", out, "--json")
    assert ended.code == 0, ended.err
    adapter = json.loads((tmp_path / "tuned" / "bundle.json").read_text(encoding="utf-8"))
    assert ended.json["parents"] == [*adapter["lineage"]["parents"], adapter["digest"]]
    other = shutil.copytree(tiny, tmp_path / "other")
    (other / "generation_config.json").unlink()  # which is enough to be another
    refused = run("merge", str(other), "--adapter", str(tmp_path / "tuned"), "--out", f"{out}2")
    assert refused.code == 2
    assert "tuned was trained on" in refused.err
    assert "--any-base" in refused.err


@pytest.mark.usefixtures("home")
def test_what_cannot_be_is_said(run: Run, tiny: str, tmp_path: Path) -> None:
    adapter = str(for_directory(tiny, tmp_path / "tuned"))
    out = str(tmp_path / "out")
    for arguments, why in (
        ((tiny, "--adapter", "nobody", "--out", out), "adapter: none is called 'nobody'"),
        ((tiny, "--adapter", adapter, "--out", str(tmp_path)), "is not an empty folder"),
        ((tiny, "--adapter", adapter), "Missing option '--out'"),
        (("no-such-model", "--adapter", adapter, "--out", out), "no model is called"),
    ):
        ended = run("merge", *arguments)
        assert ended.code == 2
        assert why in " ".join(ended.err.split())
        assert ended.out == ""
        assert not Path(out).exists()
