"""Every kind from its recipe to its result, on the tiny model, in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import studiolo
from studiolo.bundle.adapter import read_adapter
from studiolo.bundle.manifest import BundleManifest, hash_file
from studiolo.errors import InvalidRequestError
from studiolo.training.recipe import checked_recipe
from studiolo.training.run import Result, Run
from tests.training.small import text_file
from tests.training.tuned import CHATS, COMPLETIONS, PAIRS, SUMS, lines, tuning

DATA = {"answers": CHATS, "preferences": PAIRS, "rewards": SUMS}
SMALL = {"rewards": {"objective": {"kind": "rewards", "group": 4, "answer_tokens": 8}}}


def data_for(kind: str, folder: Path) -> Path:
    if kind in DATA:
        return lines(folder / f"{kind}.jsonl", DATA[kind])  # type: ignore[arg-type]
    return text_file(folder)


def trained(kind: str, tiny: str, folder: Path, out: str = "out", **changes: object) -> Result:
    given = {**SMALL.get(kind, {}), **changes}
    recipe = tuning(tiny, data_for(kind, folder), kind, **given)  # type: ignore[arg-type]
    return Run(recipe, folder / out).carry_out(resume=True)


@pytest.mark.parametrize("kind", ["text", "answers", "preferences"])
@pytest.mark.parametrize("adapter", [None, 4])
def test_what_is_gone_on_with_learns(
    kind: str, adapter: int | None, tiny: str, tmp_path: Path
) -> None:
    start = {"model": tiny, "adapter": adapter}
    first = Run(tuning(tiny, data_for(kind, tmp_path), kind, start=start), tmp_path / "x")
    decoder = first._decoder()
    before = first.evaluation(first.objective.learner(decoder, first.recipe))["loss"]
    result = trained(kind, tiny, tmp_path, start=start)
    assert result.validation_loss < before - 0.15
    assert result.bundle is not None
    manifest = BundleManifest.model_validate_json((result.bundle / "bundle.json").read_text())
    assert manifest.lineage.parents == (first.start.digest,)  # type: ignore[union-attr]
    if adapter is not None:
        found = read_adapter(result.bundle, decoder.config)
        assert {update.rank for update in found.updates.values()} == {4}
        lm = studiolo.load(tiny, device="cpu", arithmetic="float")
        worn = lm.generate("the cat", max_tokens=4, temperature=0, adapter=str(result.bundle))
        assert worn.text != lm.generate("the cat", max_tokens=4, temperature=0).text
        return
    lm = studiolo.load(str(result.bundle), device="cpu", arithmetic="float")
    assert lm.generate("the cat", max_tokens=4, temperature=0).text
    assert lm.tokenizer.chat_template


def test_completions_are_learnt_to_their_end(tiny: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "c.jsonl", COMPLETIONS)
    recipe = tuning(tiny, path, "answers", training={"steps": 60, "batch": 4})
    result = Run(recipe, tmp_path / "out").carry_out(resume=False)
    lm = studiolo.load(str(result.bundle), device="cpu", arithmetic="float")
    made = lm.generate("after rain 3", temperature=0, max_tokens=30)
    assert made.text == " the streets"
    assert made.finish_reason == "stop"


def test_a_student_learns_of_its_teacher(tiny: str, tmp_path: Path) -> None:
    recipe = checked_recipe(
        {
            "name": "pupil",
            "size": 1,
            "model": {"width": 16, "heads": 2, "context": 16},
            "objective": {"kind": "distil", "teacher": tiny, "temperature": 2.0},
            "data": {"path": str(text_file(tmp_path))},
            "training": {"batch": 4, "steps": 40},
            "watch": {"evaluate": 20, "sample": 0},
        }
    )
    run = Run(recipe, tmp_path / "out")
    batch = run.parts.held_out.at(0)
    before = run.objective.learner(run._decoder(), recipe).loss(batch).total
    result = run.carry_out(resume=False)
    student = studiolo.load(str(result.bundle), device="cpu", arithmetic="float").model.network
    assert student.config.vocabulary == run.tokenizer.vocab_size
    after = run.objective.learner(student, recipe).loss(batch).total  # type: ignore[arg-type]
    assert after.item() < 0.7 * before.item()


def test_what_is_rewarded_is_done_more_often(tiny: str, tmp_path: Path) -> None:
    tasks = [{"prompt": f"the cat {i}", "pattern": ".*t.*"} for i in range(40)]
    path = lines(tmp_path / "t.jsonl", tasks)
    objective = {"kind": "rewards", "group": 8, "answer_tokens": 3}
    recipe = tuning(
        tiny, path, "rewards", objective=objective, training={"steps": 60, "batch": 4}
    )  # fmt: skip
    run = Run(recipe, tmp_path / "out")
    learner = run.objective.learner(run._decoder(), recipe)
    before = float(learner.loss(run.parts.training.at(0)).parts["reward"])
    result = run.carry_out(resume=False)
    student = studiolo.load(str(result.bundle), device="cpu", arithmetic="float").model.network
    learner = run.objective.learner(student, recipe)  # type: ignore[arg-type]
    after = float(learner.loss(run.parts.training.at(0)).parts["reward"])
    assert before < 0.7
    assert after > before + 0.2


@pytest.mark.parametrize("kind", ["answers", "preferences", "rewards"])
def test_stopped_and_gone_on_with_it_makes_the_same_bytes(
    kind: str, tiny: str, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        few: dict[str, object] = {"training": {"steps": 6}, "start": {"model": tiny, "adapter": 2}}
        trained(kind, tiny, tmp_path, "whole", **few)
        recipe = tuning(tiny, data_for(kind, tmp_path), kind, **{**SMALL.get(kind, {}), **few})  # type: ignore[arg-type]
        taken = iter(range(100))
        stopped = Run(recipe, tmp_path / "parts").carry_out(
            resume=False, stop=lambda: next(taken) == 2
        )
        assert stopped.bundle is None
        Run(recipe, tmp_path / "parts").carry_out(resume=True)
    finally:
        torch.set_num_threads(threads)
    name = "adapter_model.safetensors"
    assert hash_file(tmp_path / "whole" / name) == hash_file(tmp_path / "parts" / name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": {"kind": "text", "beta": 0.2}}, "objective.beta: is for preferences"),
        ({"objective": {"kind": "distil"}}, "objective.teacher: is not given"),
        ({"start": {"model": None}, "size": 2}, "preferences are learnt by a model that writes"),
        ({"data": {"path": None}}, "data.path: is not given"),
        ({"data": {"path": "/nowhere"}}, "data.path: '/nowhere' cannot be read"),
        ({"model": {"context": 4}}, "of 20 examples 0 fit a block of 4 tokens"),
        ({"model": {"context": 999}}, "model.context: 999 is more than the 128 of its model"),
        ({"model": {"width": 64}}, "model.width: is that of the model that is gone on from"),
        ({"optimiser": {"kind": "muon"}, "start": {"adapter": 2}}, "muon is for whole matrices"),
    ],
)
def test_what_does_not_fit_is_named(
    changes: dict[str, dict[str, object]], words: str, tiny: str, tmp_path: Path
) -> None:
    given = {key: change for key, change in changes.items() if key != "size"}
    recipe = tuning(tiny, data_for("preferences", tmp_path), "preferences", **given)
    recipe = recipe.model_copy(update={"size": changes.get("size")})
    with pytest.raises(InvalidRequestError, match=words):
        Run(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_other_tokens_is_refused(tiny: str, tmp_path: Path) -> None:
    other = trained_parent(tmp_path)
    objective = {"kind": "distil", "teacher": other}
    run = Run(tuning(tiny, text_file(tmp_path), "distil", objective=objective), tmp_path / "out")
    with pytest.raises(InvalidRequestError, match="Both must have one tokenizer"):
        run.carry_out(resume=False)


def trained_parent(folder: Path) -> str:
    from tests.training.test_run import carried_out

    return str(carried_out(folder, "parent").bundle)
