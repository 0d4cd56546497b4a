"""Adapting SmolLM2-135M to one domain: Debian's package descriptions, and their synopses as a task.

``python bench/adaptation.py --data Translation-en [--pairs 400] [--epochs 1]
[--held-out 100] [--repeats 2] [--rates 5e-4,1e-3,2e-3] [--threads 2] [--json F] [--plot F]``

Round after round Studiolo and ``peft`` with ``transformers.Trainer`` make a low-rank adapter of the
same chats, each in a fresh process; each's rate is the best of ``--rates`` on a quarter of them, by
other pairs than those of the verdict. Once, Studiolo also trains all weights on the same chats, and
goes on pre-training on the descriptions alone. All are judged alike: see :mod:`bench.adapting`.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import studiolo
from bench.adapting import SHOTS, Exercise, Judge, Outcome, Verdict
from bench.contestants import ADAPTERS, Entrant
from bench.measure import Standing
from bench.passages import docstrings
from bench.process import ContestantError, Process
from bench.rounds import rounds, warn
from bench.synopses import Pair, read_pairs, write_chats
from bench.table import require_plotting
from bench.training import numbers, shown
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.errors import StudioloError
from studiolo.training.recipe import read_recipe
from studiolo.training.run import Run

HOME, PEER = "studiolo", "peft + Trainer"
CHILD = "bench.adaptation_child"
PATIENCE = 7200.0
WIDTH = 140
RANK = 16
PROSE = 12_000
"""Characters of other prose, the standard library's docstrings, by which forgetting is measured."""


@dataclass
class Made:
    """One contestant's adapters, round by round."""

    entrant: Entrant
    standing: Standing
    rate: float | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


@dataclass(frozen=True)
class Material:
    """``chats``: the pairs that are learnt from, as a file; ``directory``: the model's.

    ``tuning``: pairs by which rates are chosen.
    """

    learnt: Sequence[Pair]
    held_out: Sequence[Pair]
    tuning: Sequence[Pair]
    prose: str
    chats: Path
    directory: Path
    epochs: float


def made_by(
    entrant: Entrant, directory: Path, threads: int, exercise: Exercise
) -> tuple[Outcome, str, float]:
    """One exercise in a fresh process, the contestant's version, and seconds to ready."""
    with Process(entrant.module, str(directory), threads, PATIENCE, CHILD) as process:
        answer = process.send(asdict(exercise))
        outcome = Outcome(answer["seconds"], answer["steps"])
        return outcome, process.version, process.seconds_to_ready


def all_weights(material: Material, folder: Path, kind: str) -> tuple[Path, float]:
    """Studiolo's training of every weight on ``answers``, or on the descriptions as ``text``."""
    data = material.chats
    if kind == "text":
        data = folder / "descriptions.txt"
        data.write_text("\n\n".join(p.description for p in material.learnt), encoding="utf-8")
    changes = [
        f"start.model={material.directory}",
        "start.adapter=null",
        f"objective.kind={kind}",
        f"data.path={data}",
        "data.validation=0.05",
        f"training.epochs={material.epochs}",
        "optimiser.rate=1e-4",
        "watch.sample=0",
        "watch.checkpoint=1000000",
    ]
    out = folder / f"all-{kind}"
    result = Run(read_recipe("adapt-lora", changes), out).carry_out(resume=False)
    return out, result.seconds


def table_of(rows: Mapping[str, tuple[Sequence[float], Sequence[Verdict]]], title: str) -> Table:
    """A row for each way: seconds of training, and what it is worth."""
    table = Table(title=title)
    for name in (
        "",
        "seconds",
        "ROUGE-L of synopses",
        "perplexity of synopses",
        "of descriptions",
        "of other prose",
    ):
        table.add_column(name, justify="right" if name else "left")
    for name, (seconds, verdicts) in rows.items():
        table.add_row(
            name,
            shown(seconds, ",.0f"),
            shown([each.rouge for each in verdicts], ".3f"),
            shown([each.synopses for each in verdicts], ".2f"),
            shown([each.descriptions for each in verdicts], ".2f"),
            shown([each.prose for each in verdicts], ".2f"),
        )
    return table


def draw(
    rows: Mapping[str, tuple[Sequence[float], Sequence[Verdict]]], path: Path, title: str
) -> None:
    """ROUGE-L and the perplexity of other prose, the first verdict of each."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [name for name, (_, verdicts) in rows.items() if verdicts][::-1]
    left.barh(names, [rows[name][1][0].rouge for name in names])
    left.set_xlabel("ROUGE-L of synopses held out")
    right.barh(names, [rows[name][1][0].prose for name in names], color="tab:orange")
    right.set_xlabel("perplexity of other prose")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)


def main(
    data: Annotated[Path, typer.Option(help="A Translation-en of Debian, unpacked.")],
    pairs: Annotated[int, typer.Option(min=100, help="Pairs that are learnt from.")] = 400,
    epochs: Annotated[float, typer.Option(min=0.1, help="Times that they are read.")] = 1.0,
    held_out: Annotated[int, typer.Option(min=10, help="Pairs by which all are judged.")] = 100,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each contestant.")] = 2,
    rates: Annotated[str, typer.Option(help="Rates to choose from.")] = "5e-4,1e-3,2e-3",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Compare ways to adapt a model: what they cost, what they teach, what is forgotten."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(threads)
    try:
        if plot_file is not None:
            require_plotting()
        found, given = read_pairs(data), numbers(rates)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lm = studiolo.load(DEFAULT_MODEL)
            lm.save(folder / "model")
            learnt = found[held_out : held_out + pairs]
            material = Material(
                learnt,
                found[:held_out],
                found[-held_out:],
                "\n\n".join(docstrings())[:PROSE],
                write_chats(folder / "chats.jsonl", learnt),
                folder / "model",
                epochs,
            )
            rows = compare(console, material, folder, lm, given, repeats, threads)
    except (StudioloError, ContestantError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    title = (
        f"{DEFAULT_MODEL}, {pairs:,} pairs, {epochs:g} epochs, rank {RANK}, {held_out} held out, "
        f"{threads} threads, {platform.machine()}"
    )
    console.print(table_of(rows, title))
    ratios = [a / b for a, b in zip(rows[HOME][0], rows.get(PEER, ((), ()))[0], strict=False)]
    console.print(
        f"Median and range. Seconds of {HOME}'s adapter over the peer's: {shown(ratios, '.2f')}"
    )
    if json_file is not None:
        told = {
            n: {"seconds": list(s), "verdicts": [asdict(v) for v in vs]}
            for n, (s, vs) in rows.items()
        }
        json_file.write_text(json.dumps({"title": title, **told}, indent=1) + "\n")
    if plot_file is not None:
        draw(rows, plot_file, title)


def compare(
    console: Console,
    material: Material,
    folder: Path,
    lm: studiolo.LanguageModel,
    rates: Sequence[float],
    repeats: int,
    threads: int,
) -> dict[str, tuple[Sequence[float], Sequence[Verdict]]]:
    """Every way, by name: seconds of training by round, and verdicts."""

    judge = Judge(lm, material.learnt)

    def verdict(whose: Judge = judge, **how: Any) -> Verdict:
        return whose.verdict(material.held_out, material.prose, **how)

    rows: dict[str, tuple[Sequence[float], Sequence[Verdict]]] = {
        "as it is, no example": ([], [verdict()]),
        f"as it is, {SHOTS} examples": ([], [verdict(shots=SHOTS)]),
    }
    contestants = {e.name: Made(e, Standing(e.name)) for e in ADAPTERS if e.installed}
    few = write_chats(folder / "few.jsonl", material.learnt[: len(material.learnt) // 4])
    for made in contestants.values():
        made.rate = chosen_rate(console.print, made.entrant, material, few, rates, judge, threads)

    def one_round(standing: Standing) -> Mapping[str, float]:
        made = contestants[standing.name]
        out = folder / f"{made.entrant.package}-{len(made.outcomes)}"
        asked = Exercise(str(material.chats), str(out), RANK, material.epochs, made.rate)
        outcome, standing.version, start = made_by(made.entrant, material.directory, threads, asked)
        made.outcomes.append(outcome)
        made.verdicts.append(verdict(adapter=out))
        return {"start": start}

    standings = [made.standing for made in contestants.values()]
    done = rounds(console, standings, repeats, one_round)
    warn(console, standings, HOME)
    for name, made in contestants.items():
        rows[name] = ([each.seconds for each in made.outcomes], made.verdicts)
        console.print(f"{name} {made.standing.version}: rate {made.rate:g}")
    if done < repeats:  # stopped
        return rows
    for kind, name in (("answers", "all weights"), ("text", "descriptions alone, all weights")):
        try:
            out, seconds = all_weights(material, folder, kind)
            rows[name] = ([seconds], [verdict(Judge(studiolo.load(out), material.learnt))])
        except KeyboardInterrupt:
            console.print("Stopped; what was measured follows.")
            break
    return rows


def chosen_rate(
    say: Callable[[str], None],
    entrant: Entrant,
    material: Material,
    few: Path,
    rates: Sequence[float],
    judge: Judge,
    threads: int,
) -> float:
    """The rate whose adapter, of few pairs, makes other pairs' synopses least surprising."""
    if len(rates) == 1:
        return rates[0]
    found = {}
    asked = Exercise(str(few), "", RANK, material.epochs)
    for rate in rates:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "adapter"
            made_by(entrant, material.directory, threads, replace(asked, out=str(out), rate=rate))
            found[rate] = judge.synopses(material.tuning, out)
        say(f"{entrant.name} at a rate of {rate:g}: {found[rate]:.3f}")
    return min(found, key=lambda rate: found[rate])


if __name__ == "__main__":
    typer.run(main)
