"""Vectors of many texts: Studiolo and its peers on the same weights, in the same run.

``python bench/embeddings.py [--count 2000] [--corpus F] [--repeats 3] [--threads 2] [--json F]``

Every round starts each contestant in a fresh process, one after the other (A B C D A B C
D …), lets it embed a few passages unmeasured, and then measures all of them at once, from
strings to vectors: tokenising, sorting by length and pooling included. The first round also
keeps the vectors, so that nobody can be fast by being wrong: the last column is the cosine
of each with that of sentence-transformers in float32.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import EMBEDDERS, Entrant
from bench.exported import as_int8, as_onnx
from bench.measure import Metric, Standing, summary
from bench.passages import passages
from bench.process import Process
from bench.rounds import chosen, rounds, warn
from bench.table import table_of
from studiolo.bundle.catalogue import DEFAULT_ENCODER
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import StudioloError, UnsupportedModelError

HOME, REFERENCE = "studiolo", "sentence-transformers"
WARM_UP = 64
Cosines = tuple[float, float]
WIDTH = 120  # of the table where there is no terminal
METRICS = (
    Metric("rate", "speed", "passages/s", bigger_is_better=True),
    Metric("peak", "peak memory", "MB"),
    Metric("start", "start-up", "s"),
)


def prepare(
    opened: OpenBundle, entrants: Sequence[Entrant], scratch: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """For each entrant the path that it reads, or the reason why it cannot take part."""
    folder, config = opened.bundle.path, opened.encoder_config
    paths: dict[str, str] = {}
    missing: dict[str, str] = {}
    exported: Path | None = None
    for entrant in entrants:
        if not entrant.installed:
            missing[entrant.name] = f"not installed: {entrant.install}"
            continue
        if entrant.reads in ("onnx", "int8"):
            if config.pooling != "mean":
                raise UnsupportedModelError("the ONNX contestants pool by the mean alone")
            exported = exported or as_onnx(folder, scratch / "onnx", config.max_tokens)
        if entrant.reads == "int8" and exported is not None:
            paths[entrant.name] = str(as_int8(exported, scratch / "int8", config.max_tokens))
        else:
            paths[entrant.name] = str(exported if entrant.reads == "onnx" else folder)
    return paths, missing


def run_round(
    entrant: Entrant, model: str, threads: int, scratch: Path, count: int, into: Standing
) -> dict[str, float]:
    """Start a contestant, measure it once, end it. Raises :class:`ContestantError`."""
    kept = scratch / f"{entrant.name}.npy"
    child = "bench.embedding_child"
    with Process(entrant.module, model, threads, patience=3600, child=child) as process:
        into.version = process.version
        process.send({"texts": str(scratch / "warm-up.json"), "vectors": None})
        out = None if kept.exists() else str(kept)
        answer = process.send({"texts": str(scratch / "texts.json"), "vectors": out})
        return {
            "rate": count / answer["seconds"],
            "peak": answer["peak_bytes"] / 1e6,
            "start": process.seconds_to_ready,
        }


def cosines(scratch: Path, standings: Sequence[Standing], reference: str) -> dict[str, Cosines]:
    """Least and mean cosine of each contestant's vectors with the reference's."""
    vectors: dict[str, NDArray[np.float32]] = {
        standing.name: np.load(file)
        for standing in standings
        if (file := scratch / f"{standing.name}.npy").exists()
    }
    if reference not in vectors:
        return {}
    found = {}
    for name, mine in vectors.items():
        cosine = (mine.astype(np.float64) * vectors[reference]).sum(1)
        found[name] = (float(cosine.min()), float(cosine.mean()))
    return found


def main(
    model: Annotated[str, typer.Option(help="Name or path of an encoder.")] = DEFAULT_ENCODER,
    contestants: Annotated[
        str | None, typer.Option(help="Names, separated by commas; all by default.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Passages.")] = 2000,
    corpus: Annotated[
        Path | None,
        typer.Option(help="A text, its paragraphs the passages; else Python's docstrings."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each contestant.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
) -> None:
    """Measure vectors of many texts against its peers."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the contestant then, too
    try:
        code = bench(console, model, contestants, count, corpus, repeats, threads, json_file)
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(code)


def bench(
    console: Console,
    model: str,
    contestants: str | None,
    count: int,
    corpus: Path | None,
    repeats: int,
    threads: int,
    json_file: Path | None,
) -> int:
    """Prepare, run the rounds, report; returns the exit code."""
    entrants = {entrant.name: entrant for entrant in chosen(EMBEDDERS, contestants)}
    texts = passages(count, corpus)
    opened = OpenBundle.of(ensure(model))
    limit = opened.encoder_config.max_tokens
    tokens = [len(opened.tokenizer.encode(text)) for text in texts]
    cut = sum(n > limit for n in tokens)
    mean = sum(min(n, limit) for n in tokens) / count
    what = f"{count:,} passages of {mean:.0f} tokens on average, {cut:,} cut at {limit}"
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-") as folder:
        scratch = Path(folder)
        (scratch / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        (scratch / "warm-up.json").write_text(json.dumps(texts[:WARM_UP]), encoding="utf-8")
        console.print(f"Preparing {opened.bundle.name}; {what} …")
        paths, missing = prepare(opened, list(entrants.values()), scratch)
        shown = [Standing(name) for name in paths]

        def measured(standing: Standing) -> Mapping[str, float]:
            entrant = entrants[standing.name]
            return run_round(entrant, paths[entrant.name], threads, scratch, count, standing)

        finished = rounds(console, shown, repeats, measured)
        sure = REFERENCE if (scratch / f"{REFERENCE}.npy").exists() else HOME
        alike = cosines(scratch, shown, sure)
    title = f"{opened.bundle.name}, {what}; {threads} threads, {finished} of {repeats} rounds"

    def cosine(standing: Standing) -> str:
        if standing.name not in alike:
            return "–"
        least, mean = alike[standing.name]
        return f"{least:.6f} least\n{mean:.6f} mean"

    console.print(table_of(shown, HOME, title, METRICS, f"cosine with\n{sure}", cosine))
    console.print(
        "Median; range below it; × is how many times as good as studiolo in that column, "
        "round by round (above 1 is better than studiolo)."
    )
    for name, entrant in entrants.items():
        if name in missing:
            console.print(f"[yellow]{name} is missing[/yellow]: {escape(missing[name])}")
        else:
            console.print(f"[dim]{name}: {entrant.note}[/dim]")
    warn(console, shown, HOME)
    if json_file is not None:
        record = {
            "machine": {"processor": platform.processor() or platform.machine()},
            "python": platform.python_version(),
            "model": opened.bundle.name,
            "passages": {"count": count, "mean_tokens": mean, "truncated": cut},
            "threads": threads,
            "rounds": finished,
            "missing": missing,
            "cosine": {
                name: dict(zip(("least", "mean"), c, strict=True)) for name, c in alike.items()
            },
            "contestants": summary(shown, HOME, sure, METRICS),
        }
        json_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if finished < repeats:
        return 130
    return 1 if any(standing.problem for standing in shown) else 0


if __name__ == "__main__":
    typer.run(main)
