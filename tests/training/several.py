"""What two processes do together, started once for all tests.

Each scenario is carried out by both, one after the other, and what it gives is written down by each
for the tests to look at.
"""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from studiolo.errors import StudioloError
from studiolo.family.contract import Loss
from studiolo.training import checkpoint, processes
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.log import read_log
from studiolo.training.loop import Loop, Pace, Player
from studiolo.training.muon import orthogonalise
from studiolo.training.optimiser import AdamW
from studiolo.training.processes import ALONE, Processes, joined
from studiolo.training.rates import find_rates
from studiolo.training.recipe import Recipe
from studiolo.training.run import Run
from tests.training.small import small_recipe
from tests.training.tuned import CHATS, PAIRS, lines, tuning

GENTLE: dict[str, dict[str, object]] = {
    # At high rates a rounding grows tenfold every few steps, whoever makes it.
    "optimiser": {"rate": 0.001, "matrix_rate": 0.002},
    "schedule": {"warmup": 5},
    "watch": {"sample": 6, "evaluate": 10, "checkpoint": 5},
}
SHARDS = {"parallel": "shards"}


def prepare(folder: Path) -> None:
    """The data that :func:`recipes` tell of."""
    lines(folder / "chats.jsonl", CHATS)
    lines(folder / "pairs.jsonl", PAIRS)


def recipes(folder: Path, tiny: str) -> dict[str, Recipe]:
    """What is trained by one process and by two; those of two may be sharded as well."""
    text = folder / "rhyme.txt"

    def tuned(kind: str, file: str, **changes: Mapping[str, object]) -> Recipe:
        short: dict[str, Mapping[str, object]] = {
            "training": {"batch": 2, "steps": 6},
            "optimiser": {"rate": 0.001},
        }
        return tuning(tiny, folder / file, kind, **{**short, **changes})

    return {
        "muon": small_recipe(text, **GENTLE),
        "adamw": small_recipe(
            text, **{**GENTLE, "optimiser": {"kind": "adamw", "rate": 0.001}}, model={"tied": False}
        ),
        "average": small_recipe(text, **GENTLE, training={"average": 0.9, "accumulate": 2}),
        "recompute": small_recipe(text, **GENTLE, training={"recompute": True}),
        "answers": tuned("answers", "chats.jsonl"),
        "preferences": tuned("preferences", "pairs.jsonl"),
        "adapter": tuned("answers", "chats.jsonl", start={"model": tiny, "adapter": 4}),
        "adapted-preferences": tuned(
            "preferences", "pairs.jsonl", start={"model": tiny, "adapter": 4}
        ),
        "distil": tuned("distil", "rhyme.txt", objective={"kind": "distil", "teacher": tiny}),
    }


def divided(recipe: Recipe, parallel: str) -> Recipe:
    """The same, carried out by ``copies`` or ``shards``."""
    training = recipe.training.model_copy(update={"parallel": parallel})
    return recipe.model_copy(update={"training": training})


def halved(recipe: Recipe) -> Recipe:
    """The same steps, by one process that does one half of each batch after the other."""
    assert recipe.training.batch is not None
    half = {"batch": recipe.training.batch // 2, "accumulate": 2 * recipe.training.accumulate}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=half)})


def trained(
    recipe: Recipe,
    out: Path,
    processes: Processes = ALONE,
    *,
    steps: int | None = None,
    asker: int = 0,
    resume: bool = False,
) -> int:
    """Carry a recipe out; ``steps``: after so many, process ``asker`` asks to stop."""
    taken = count(1)

    def stop() -> bool:
        return next(taken) == steps and processes.rank == asker

    return Run(recipe, out, processes).carry_out(resume=resume, stop=stop).steps


def losses(out: Path) -> list[float]:
    """Of every step and every evaluation in the log."""
    log = read_log(out / "training" / "log.jsonl")
    return [line[name] for line in log for name in ("loss", "validation", "final") if name in line]


def failed(do: Callable[[], object]) -> str:
    """The error that it ends in: its kind and its first line."""
    try:
        do()
    except StudioloError as error:
        return f"{type(error).__name__}: {error.message}"
    return "none"


def agreement(these: Processes, folder: Path) -> object:
    made: list[int] = []
    processes.BUCKET = 5
    tensors = [torch.full((n, 2), float(these.rank + n)) for n in (1, 2, 3)]
    these.add_up(tensors)
    return {
        "summed": these.summed(these.rank, 0.5),
        "any": [these.any(these.rank == 1), these.any(False)],
        "alone": failed(lambda: these.first_alone(lambda: made.append(1))),
        "turn": these.in_turn(lambda: these.rank),
        "made": made,
        "dealt": list(these.dealt("abcde")),
        "added": [tensor.tolist() for tensor in tensors],
    }


def tensors(these: Processes, folder: Path) -> object:
    """Pieces of five rows, which do not come out even, against whole matrices."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    from studiolo.training.shards import as_part, is_split, laid, local, on_whole, stacked, whole

    mesh = init_device_mesh("cpu", (these.count,))
    found: dict[str, bool] = {}
    for number in (1, 3):
        rng = torch.Generator().manual_seed(number)
        matrices = [torch.randn(5, 4, generator=rng) for _ in range(number)]
        split = [distribute_tensor(each, mesh, [Shard(0)]) for each in matrices]
        here = torch.stack([local(each) for each in split])
        stack = stacked(here, split[0])
        back = on_whole(orthogonalise, here, split[0])
        wanted = orthogonalise(torch.stack(matrices))
        mine = slice(0, 3) if these.first else slice(3, 5)
        found |= {
            f"split {number}": is_split(split[0]) and is_split(stack),
            f"local {number}": torch.equal(here, torch.stack(matrices)[:, mine]),
            f"part {number}": torch.equal(whole(as_part(here[0], split[0])), matrices[0]),
            f"stacked {number}": torch.equal(whole(stack), torch.stack(matrices)),
            f"laid {number}": torch.equal(local(laid(matrices[0], split[0])), local(split[0])),
            f"on whole {number}": torch.allclose(back, wanted[:, mine], atol=1e-6),
        }
    return found


def failing(these: Processes, folder: Path, tiny: str) -> object:
    """Errors that are to be agreed on."""
    muon = recipes(folder, tiny)["muon"]
    batch = muon.training.model_copy(update={"batch": 3})
    found = {
        "diverged": failed(diverging(these, folder / "diverged").run),
        "uneven": failed(
            lambda: trained(muon.model_copy(update={"training": batch}), folder / "uneven", these)
        ),
        "there": failed(lambda: trained(muon, folder / "muon-copies", these)),
    }

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", full)
        found["full"] = failed(lambda: trained(divided(muon, "shards"), folder / "full", these))
    return found


def diverging(these: Processes, folder: Path) -> Loop[int]:
    """One whose loss is infinite in the second process, in its third batch."""
    weight = nn.Parameter(torch.zeros(3))

    def loss(batch: int) -> Loss:
        wrong = batch == 2 and these.rank == 1
        return Loss(weight.sum() + (torch.inf if wrong else 1.0))

    optimiser = AdamW({"w": weight}, rate=0.1, betas=(0.9, 0.9), weight_decay=0.0)
    return Loop(
        players=[Player("one", {"w": weight}, loss, optimiser)],
        batch=lambda number: number,
        size=lambda batch: 1,
        pace=Pace(steps=9, factor=lambda step: 1.0, evaluate=10, checkpoint=1),
        evaluate=lambda: 1.0,
        checkpoints=these.in_turn(lambda: Checkpoints(folder)),
        processes=these,
        share=lambda batch: (batch, 0.5),
    )


def rates(folder: Path, recipe: Recipe, these: Processes = ALONE) -> list[float]:
    """The losses of a search for rates, as long as they are low."""
    found = find_rates(Run(recipe, folder / "rates", these))
    assert found is not None
    return list(found.losses[:40])


def scenarios(folder: Path, tiny: str) -> dict[str, Callable[[Processes], object]]:
    known = recipes(folder, tiny)
    found: dict[str, Callable[[Processes], object]] = {
        "agreement": partial(agreement, folder=folder),
        "tensors": partial(tensors, folder=folder),
    }
    for name, recipe in known.items():
        for parallel in ("copies", "shards"):
            ours, out = divided(recipe, parallel), folder / f"{name}-{parallel}"
            found[out.name] = partial(trained, ours, out)
    muon = known["average"]
    for parallel in ("copies", "shards"):
        ours, out = divided(muon, parallel), folder / f"stopped-{parallel}"
        found[out.name] = partial(trained, ours, out, steps=7, asker=1)
        out = folder / f"began-alone-{parallel}"
        found[out.name] = partial(trained, ours, out, resume=True)
    moved = divided(muon, "copies")
    found["moved-stopped"] = partial(trained, divided(muon, "shards"), folder / "moved", steps=7)
    found["moved"] = partial(trained, moved, folder / "moved", resume=True)
    found["rates"] = partial(rates, folder, divided(known["adamw"], "shards"))
    found["failing"] = partial(failing, folder=folder, tiny=tiny)
    return found


def main(folder: Path, tiny: str) -> None:
    torch.set_num_threads(1)
    with joined() as these:
        told: dict[str, Any] = {}
        for name, scenario in scenarios(folder, tiny).items():
            try:
                told[name] = scenario(these)
            except Exception:
                told[name] = traceback.format_exc()
                if not isinstance(sys.exc_info()[1], StudioloError):
                    print(name, told[name], file=sys.stderr)
            (folder / f"told-{these.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
