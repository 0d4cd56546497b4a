"""How Studiolo grows: the time of a token, and memory, by tokens before it and by streams.

``python bench/growth.py [--model M] [--streams 1,4,16,64] [--lengths 32,256,…,2048] [--plot F]``

A step of decoding is timed for every number of streams and length of past: each stream reads one
token and is given its scores. The pasts are real and every stream has its own copy, so that no
cache of the processor serves two of them. Lengths are gone through in order, round by round; a
point whose pasts would take more than half of the free memory is left out, and said so.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import studiolo
from bench.measure import Spread
from bench.passages import docstrings
from bench.table import require_plotting
from bench.text_serving import listed
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.nn.network import Network, Piece
from studiolo.nn.packed_decoder import PackedDecoder, PagedCache

LENGTHS = "32,256,512,1024,1536,2048"
SHARE = 0.5
WIDTH = 120
Point = tuple[int, int]
"""Streams, and tokens before."""


def twin(cache: PagedCache) -> PagedCache:
    """The same past in memory of its own."""
    copy = cache.fork()
    copy.pages = [page.copy() for page in copy.pages]
    return copy


def step_seconds(
    network: Network[PagedCache], caches: Sequence[PagedCache], token: int, steps: int
) -> list[float]:
    """Seconds of each of ``steps`` steps of decoding, one token for each cache."""
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        network.step([Piece([token], cache) for cache in caches])
        times.append(time.perf_counter() - start)
    return times


def free_bytes() -> int:
    """Memory that is to be had (Linux), or none that is known."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


@torch.inference_mode()
def measure(
    network: PackedDecoder,
    ids: Sequence[int],
    streams: Sequence[int],
    lengths: Sequence[int],
    steps: int,
    free: int,
    into: dict[Point, list[float]],
) -> dict[Point, int]:
    """One round: seconds of steps, into ``into``. The bytes of points that ``free`` cannot hold."""
    left_out: dict[Point, int] = {}
    past = network.new_cache()
    for length in lengths:
        network.step([Piece(ids[past.length : length], past, wanted=0)])
        for count in streams:
            needed = count * network.cache_bytes(length + steps + 1)
            if needed > SHARE * free:
                left_out[count, length] = needed
                continue
            caches = [twin(past) for _ in range(count)]
            step_seconds(network, caches, ids[length], 1)
            into.setdefault((count, length), []).extend(
                step_seconds(network, caches, ids[length], steps)
            )
    return left_out


def table_of(
    spreads: Mapping[Point, Spread],
    left_out: Mapping[Point, int],
    memory: Mapping[int, int],
    title: str,
) -> Table:
    """A row for each length: milliseconds of a step by streams, and megabytes of a stream."""
    streams = sorted({count for count, _ in (*spreads, *left_out)})
    table = Table(title=title)
    table.add_column("tokens before", justify="right")
    for count in streams:
        table.add_column(f"{count} stream{'s' * (count > 1)} (ms)", justify="right")
    table.add_column("memory of a stream (MB)", justify="right")
    for length, size in memory.items():
        cells = []
        for count in streams:
            spread = spreads.get((count, length))
            cells.append(
                "–"
                if spread is None
                else f"{spread.median:.1f} ({spread.low:.1f}–{spread.high:.1f})"
            )
        table.add_row(f"{length:,}", *cells, f"{size / 1e6:.1f}")
    return table


def draw(
    spreads: Mapping[Point, Spread], memory: Mapping[int, int], path: Path, title: str
) -> None:
    """Milliseconds of a step for a token of each stream, and megabytes of a stream."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    steps, tokens, bytes_ = figure.subplots(1, 3)
    for count in sorted({count for count, _ in spreads}):
        points = sorted((n, spread) for (c, n), spread in spreads.items() if c == count)
        places = [n for n, _ in points]
        label = f"{count} stream{'s' * (count > 1)}"
        middle = [spread.median for _, spread in points]
        steps.plot(places, middle, marker="o", label=label)
        tokens.plot(places, [value / count for value in middle], marker="o", label=label)
    steps.set_title("a step of all streams (ms)", fontsize=10)
    tokens.set_title("a token, all streams sharing the time (ms)", fontsize=10)
    bytes_.plot(list(memory), [size / 1e6 for size in memory.values()], marker="o")
    bytes_.set_title("memory of a stream (MB)", fontsize=10)
    for panel in (steps, tokens, bytes_):
        panel.set_xlabel("tokens before")
    bytes_.set_ylim(bottom=0)
    for panel in (steps, tokens):
        panel.set_yscale("log", base=2)
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.3)
    steps.legend(fontsize=9)
    figure.savefig(path, dpi=120)


def main(
    model: Annotated[str, typer.Option(help="Name or path of a language model.")] = DEFAULT_MODEL,
    streams: Annotated[str, typer.Option(help="Streams at once.")] = "1,4,16,64",
    lengths: Annotated[str, typer.Option(help="Tokens before.")] = LENGTHS,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each round.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Measure time and memory by context length and number of streams."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # the packed arithmetic asks it when loaded
    torch.set_num_threads(threads)
    try:
        if plot_file is not None:
            require_plotting()
        counts, places = listed("streams", streams), listed("lengths", lengths)
        known = bench(console.print, model, counts, places, repeats, steps, threads)
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    spreads, left_out, memory, title = known
    console.print(table_of(spreads, left_out, memory, title))
    console.print("Median of a step of all streams, and the range.")
    for (count, length), needed in left_out.items():
        console.print(
            f"{count} streams after {length:,} are left out: their pasts would take "
            f"{needed / 1e9:.1f} GB, more than half of the memory that is free."
        )
    if json_file is not None:
        record: dict[str, Any] = {
            "title": title,
            "points": [
                {"streams": count, "before": length, "ms": asdict(spread)}
                for (count, length), spread in spreads.items()
            ],
            "stream_bytes": {str(length): size for length, size in memory.items()},
        }
        json_file.write_text(json.dumps(record, indent=1) + "\n")
    if plot_file is not None:
        draw(spreads, memory, plot_file, title)


def bench(
    say: Callable[[str], None],
    model: str,
    streams: Sequence[int],
    lengths: Sequence[int],
    repeats: int,
    steps: int,
    threads: int,
) -> tuple[dict[Point, Spread], dict[Point, int], dict[int, int], str]:
    """Milliseconds by point, points left out, bytes of a stream by length, and a title."""
    lm = studiolo.load(model, device="cpu")
    network = lm.model.network
    if not isinstance(network, PackedDecoder):
        raise InvalidRequestError("model", "is not computed packed on this machine")
    longest = lengths[-1] + steps + 1
    if longest > lm.config.context:
        raise InvalidRequestError(
            "lengths", f"{longest:,} tokens do not fit the context of {lm.config.context:,}"
        )
    ids = lm.tokenizer.encode("\n\n".join(docstrings())[: 16 * longest])[:longest]
    times: dict[Point, list[float]] = {}
    left_out: dict[Point, int] = {}
    for i in range(repeats):
        say(f"round {i + 1} of {repeats}")
        left_out = measure(network, ids, streams, lengths, steps, free_bytes(), times)
    spreads = {
        point: Spread.of([1e3 * seconds for seconds in found]) for point, found in times.items()
    }
    memory = {length: network.cache_bytes(length) for length in lengths}
    return spreads, left_out, memory, f"{lm.name}, {threads} threads, {repeats} rounds"


if __name__ == "__main__":
    typer.run(main)
