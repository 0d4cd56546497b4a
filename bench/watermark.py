"""How long a text must be for its watermark to be found, and what the mark costs.

``python bench/watermark.py [--model M] [--texts 48] [--tokens 330] [--plot F]``

For each temperature the model goes on from the same beginnings twice, with the same seeds: with a
mark and without. Each beginning has a key of its own, since it is over keys that nothing is
distorted. *Power*: of a text's first tokens, encoded anew from its characters as whoever finds a
text must, the share with a p-value of at most 1 %; of the texts without a mark the same is the
rate of false alarms, which is looked for in real prose, too. *Quality*: nats for each token under
the model without mark and dials, paired, with a 95 % interval of the mean difference; a mark that
distorts nothing leaves it at 0. Whole texts go their own ways after the first words, and differ
much; so the same is asked of single steps, too: at every place of unmarked texts, the expected
surprise of the next token under the marked distribution less that under the unmarked one, over
many keys. *Time*: of a draw from the model's own scores, with the mark and without, over the whole
vocabulary and among the 50 likeliest.
"""

from __future__ import annotations

import hashlib
import json
import math
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import studiolo
from bench.passages import docstrings
from bench.table import require_plotting
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.errors import StudioloError
from studiolo.guard.detector import examine
from studiolo.nn.network import Piece
from studiolo.sampler.decoding import generator, pick
from studiolo.sampler.history import History
from studiolo.sampler.settings import Decoding
from studiolo.sampler.watermark import Marker, Reweigh, Watermark, tournament
from studiolo.task.generation import Generation
from studiolo.task.text import LanguageModel

LENGTHS = (10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320)
ALARM = 0.01
TOGETHER = 8
DRAWS = 200
STEP_TEXTS = 4
KEYS = 32
PROSE_KEYS = 6
WIDTH = 100
BEGINNINGS = (
    "The history of the city begins with",
    "In the spring of that year, the expedition",
    "To bake a good loaf of bread, one should first",
    "The most important idea in economics is",
    "Once upon a time, in a village by the sea,",
    "Recent research on the migration of birds shows that",
    "Dear colleagues, I am writing to",
    "A computer program is a sequence of",
)


@dataclass(frozen=True)
class Pair:
    """A beginning gone on from with a mark and without.

    ``evidence``: log₁₀ p-values by length, of the marked and of the unmarked text; ``nats``: the
    mean of each over its tokens.
    """

    evidence: dict[int, tuple[float, float]]
    nats: tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """What a temperature gave. ``difference``, ``step``: nats a token of whole texts and of single
    steps, mean and half its 95 % interval."""

    temperature: float
    found: dict[int, float]
    alarms: dict[int, float]
    median: dict[int, float]
    counts: dict[int, int]
    perplexity: tuple[float, float]
    difference: tuple[float, float]
    step: tuple[float, float]

    @classmethod
    def of(cls, temperature: float, pairs: Sequence[Pair], step: tuple[float, float]) -> Outcome:
        """From all pairs of a temperature, and what single steps gave."""
        found, alarms, median, counts = {}, {}, {}, {}
        for length in LENGTHS:
            both = [pair.evidence[length] for pair in pairs if length in pair.evidence]
            if not both:
                continue
            counts[length] = len(both)
            found[length] = share([marked for marked, _ in both])
            alarms[length] = share([plain for _, plain in both])
            median[length] = sorted(marked for marked, _ in both)[len(both) // 2]
        steps = [marked - plain for marked, plain in (pair.nats for pair in pairs)]
        mean = sum(steps) / len(steps)
        spread = math.sqrt(sum((step - mean) ** 2 for step in steps) / max(len(steps) - 1, 1))
        whole = [sum(pair.nats[i] for pair in pairs) / len(pairs) for i in (0, 1)]
        return cls(
            temperature, found, alarms, median, counts,
            (math.exp(whole[0]), math.exp(whole[1])),
            (mean, 1.96 * spread / math.sqrt(len(steps))),
            step,
        )  # fmt: skip


def share(evidence: Sequence[float]) -> float:
    """How many of the log₁₀ p-values are an alarm."""
    return sum(each <= math.log10(ALARM) for each in evidence) / len(evidence)


def pairs_of(
    lm: LanguageModel, beginning: str, key: int, count: int, tokens: int, temperature: float
) -> list[Pair]:
    """``count`` texts of one beginning, each with the mark of the key and without."""
    mark = Watermark(hashlib.sha256(f"bench {key}".encode()).digest())
    made: list[list[Generation]] = []
    for watermark in (mark, None):
        first = lm.generate(
            beginning,
            max_tokens=tokens,
            n=count,
            seed=1000 * key,
            ignore_eos=True,
            log_probs=0,
            watermark=watermark,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
        )
        made.append([first, *first.alternatives])
    pairs = []
    for marked, plain in zip(*made, strict=True):
        ids = [lm.tokenizer.encode(each.text) for each in (marked, plain)]
        shortest = min(map(len, ids))
        evidence = {
            length: (examine(ids[0][:length], mark).log10_p, examine(ids[1][:length], mark).log10_p)
            for length in LENGTHS
            if length <= shortest
        }
        pairs.append(Pair(evidence, (nats(marked), nats(plain))))
    return pairs


def nats(generation: Generation) -> float:
    """Mean surprise of a token under the model itself."""
    choices = generation.log_probs or ()
    return -sum(each.log_prob for each in choices) / max(len(choices), 1)


@torch.inference_mode()
def step_difference(
    lm: LanguageModel, texts: int, tokens: int, keys: int, temperature: float
) -> tuple[float, float]:
    """Nats that a mark adds to the expected surprise of a token: mean, half its 95 % interval."""
    differences = []
    network = lm.model.network
    for i in range(texts):
        beginning = lm.tokenizer.encode(BEGINNINGS[i % len(BEGINNINGS)])
        dials: dict[str, Any] = {"temperature": temperature, "top_k": 0, "top_p": 1.0}
        made = lm.generate(
            beginning, max_tokens=tokens, seed=500 + i, ignore_eos=True, **dials
        ).token_ids
        piece = Piece([*beginning, *made], network.new_cache(), wanted=len(made))
        for place, scores in enumerate(network.step([piece])[0]):
            surprise = -scores.double().log_softmax(dim=-1).numpy()
            plain = (scores.double() / temperature).softmax(dim=-1).numpy()
            expected = float(plain @ surprise)
            ids = np.arange(plain.size)
            for key in range(keys):
                seed = Watermark(key.to_bytes(32, "big")).seed([i, place, 0, 0])
                differences.append(float(tournament(seed, ids, plain) @ surprise) - expected)
    spread = statistics.stdev(differences)
    return statistics.fmean(differences), 1.96 * spread / math.sqrt(len(differences))


def prose_alarms(lm: LanguageModel, keys: int, length: int = 100) -> tuple[int, float]:
    """Of real prose that no key had a part in: how many looks, and the share of false alarms."""
    encoded = (lm.tokenizer.encode(text, add_special=False)[:length] for text in docstrings())
    texts = [ids for ids in encoded if len(ids) == length]
    found = [
        examine(ids, Watermark(hashlib.sha256(f"prose {key} {i}".encode()).digest())).log10_p
        for key in range(keys)
        for i, ids in enumerate(texts)
    ]
    return len(found), share(found)


def draw_seconds(lm: LanguageModel) -> dict[str, tuple[float, float]]:
    """Median seconds of a draw, marked and not, by what is drawn among."""
    logits = lm.next_log_probs(BEGINNINGS[0])
    found = {}
    for name, settings in (("all", Decoding()), ("50", Decoding(top_k=50))):
        times: tuple[list[float], list[float]] = ([], [])
        for i in range(DRAWS):
            for into, reweigh in zip(times, (_reweigh(i), None), strict=True):
                rng = generator(i)
                start = time.perf_counter()
                pick(logits, History(), settings, rng, reweigh)
                into.append(time.perf_counter() - start)
        found[name] = statistics.median(times[0]), statistics.median(times[1])
    return found


def _reweigh(i: int) -> Reweigh | None:
    return Marker(Watermark(bytes(32))).next([i, 1, 2, 3])


def table_of(outcomes: Sequence[Outcome], title: str) -> Table:
    """A row for each length, with power and false alarms for each temperature."""
    table = Table(title=title)
    table.add_column("tokens", justify="right")
    for outcome in outcomes:
        dial = f"temperature {outcome.temperature:g}"
        for what in ("found", "false alarms", "median log₁₀ p"):
            table.add_column(f"{what}\n{dial}", justify="right")
    for length in LENGTHS:
        row = [str(length)]
        for each in outcomes:
            if length in each.found:
                row += [
                    f"{each.found[length]:.0%}",
                    f"{each.alarms[length]:.1%}",
                    f"{each.median[length]:.1f}",
                ]
            else:
                row += ["–"] * 3
        table.add_row(*row)
    return table


def quality_table(outcomes: Sequence[Outcome]) -> Table:
    """Perplexity under the unmarked model, marked beside unmarked."""
    table = Table(title="Quality: under the model without mark and dials")
    names = ("temperature", "perplexity, marked", "unmarked", "nats a token", "of single steps")
    for name in names:
        table.add_column(name, justify="right")
    for each in outcomes:
        (mean, half), (step, half_step) = each.difference, each.step
        table.add_row(
            f"{each.temperature:g}",
            f"{each.perplexity[0]:.2f}",
            f"{each.perplexity[1]:.2f}",
            f"{mean:+.3f} ± {half:.3f}",
            f"{step:+.4f} ± {half_step:.4f}",
        )
    return table


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """The share of marks that are found, by length, as a picture."""
    require_plotting()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for each in outcomes:
        label = f"temperature {each.temperature:g}"
        axes.plot(list(each.found), [100 * y for y in each.found.values()], "o-", label=label)
    alarms = outcomes[0].alarms
    axes.plot(list(alarms), [100 * y for y in alarms.values()], "x--", color="grey",
              label="no mark")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(LENGTHS, [str(length) for length in LENGTHS], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("tokens of the text")
    axes.set_ylabel("p ≤ 1 %, share of texts (%)")
    axes.set_ylim(0, 103)
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(
    model: Annotated[str, typer.Option(help="The model.")] = DEFAULT_MODEL,
    texts: Annotated[int, typer.Option(min=2, help="Pairs for each temperature.")] = 48,
    tokens: Annotated[int, typer.Option(min=10, help="Tokens of each text.")] = 330,
    temperatures: Annotated[str, typer.Option(help="Separated by commas.")] = "1.0,0.7",
    plot: Annotated[Path | None, typer.Option(help="Draw a picture here.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers here.")
    ] = None,
) -> None:
    """Measure the watermark's power and its cost."""
    if plot is not None:
        require_plotting()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    lm = studiolo.load(model, device="cpu")
    draws = draw_seconds(lm)
    outcomes = []
    for temperature in map(float, temperatures.split(",")):
        pairs: list[Pair] = []
        key = 0
        while len(pairs) < texts:
            count = min(TOGETHER, texts - len(pairs))
            beginning = BEGINNINGS[key % len(BEGINNINGS)]
            pairs += pairs_of(lm, beginning, key, count, tokens, temperature)
            key += 1
            console.print(f"[dim]temperature {temperature:g}: {len(pairs)} of {texts}[/]")
        step = step_difference(lm, min(texts, STEP_TEXTS), min(tokens, 300), KEYS, temperature)
        outcomes.append(Outcome.of(temperature, pairs, step))
    console.print(table_of(outcomes, f"Marks of {lm.name} found at 1 % false alarms"))
    console.print(quality_table(outcomes))
    count, alarms = prose_alarms(lm, PROSE_KEYS)
    console.print(f"real prose, 100 tokens: {alarms:.2%} false alarms in {count:,} looks")
    for among, (marked, plain) in draws.items():
        console.print(
            f"a draw among {among}: {marked * 1e3:.2f} ms marked, {plain * 1e3:.2f} ms not"
        )
    if plot is not None:
        draw(outcomes, plot)
    if json_file is not None:
        found: dict[str, Any] = {"model": lm.name, "texts": texts, "tokens": tokens}
        found["draws"] = draws
        found["temperatures"] = [asdict(outcome) for outcome in outcomes]
        json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        typer.run(main)
    except StudioloError as error:
        sys.exit(f"error: {error}")
