"""What packed arithmetic costs in quality: perplexity and KL divergence against float32.

``python bench/quality.py [--model M] [--tokens 20000] [--formats file,rounded,q4_0,…] [--text F]``

For each format of weights, one pass over the same real prose with float32 on the values that the
file stands for (the reference), with the packed arithmetic on the file's own blocks, and with
llama.cpp on the same file. ``file``: the model's own; ``rounded``: those floats rounded to the
8-bit groups that weights without blocks get, where the loss is the rounding's; the others: all
its matrices rewritten so, which changes the reference too. Whatever is lost beyond the reference
is lost by arithmetic.

llama.cpp tells no scores of a prompt's tokens, but its last hidden states (over its HTTP server);
they are multiplied by the float32 scores' matrix here, so what its own product would lose there
is not counted against it.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.passages import docstrings
from bench.requantised import FILE_TYPES, cached
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.layout import load_decoder, load_packed
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import InvalidRequestError, StudioloError
from studiolo.nn.native import best_player
from studiolo.nn.network import Network, Piece

FORMATS = ("file", "rounded", *(kind.lower() for kind in FILE_TYPES))
ROWS = 64
"""Scores compared at a time, in float64."""
WIDTH = 120
Scored = Callable[[Sequence[int]], Tensor]
"""Float32 scores ``[n, vocabulary]`` after each of n tokens, which begin a text."""


@dataclass(frozen=True)
class Quality:
    """Over ``tokens``: perplexity, its change against the reference's (a share), the mean of the
    KL divergence from the reference (nats), and the share of the same likeliest tokens."""

    tokens: int
    perplexity: float
    change: float
    divergence: float
    same: float


class Tally:
    """Sums over what was scored, beside the reference's."""

    def __init__(self) -> None:
        self.tokens = 0
        self._ours = self._theirs = self._divergence = self._same = 0.0

    def add(self, reference: Tensor, scores: Tensor, targets: Tensor) -> None:
        """Scores ``[n, vocabulary]`` of both for the places of ``targets``, int64 ``[n]``."""
        for start in range(0, len(targets), ROWS):
            part = slice(start, start + ROWS)
            theirs = reference[part].double().log_softmax(-1)
            ours = scores[part].double().log_softmax(-1)
            wanted = targets[part].unsqueeze(-1)
            self._theirs -= float(theirs.gather(-1, wanted).sum())
            self._ours -= float(ours.gather(-1, wanted).sum())
            self._divergence += float((theirs.exp() * (theirs - ours)).sum())
            self._same += float((theirs.argmax(-1) == ours.argmax(-1)).sum())
            self.tokens += len(wanted)

    def quality(self) -> Quality:
        """Of one token at least."""
        n = self.tokens
        return Quality(
            tokens=n,
            perplexity=math.exp(self._ours / n),
            change=math.expm1((self._ours - self._theirs) / n),
            divergence=self._divergence / n,
            same=self._same / n,
        )


def windows(ids: Sequence[int], beginning: Sequence[int], tokens: int, length: int) -> list[Any]:
    """Texts of ``length`` tokens that together score ``tokens`` or a few more.

    Each starts with ``beginning`` (what a model wants before any text), which is not scored; if
    that is empty, the first token is not. Raises :class:`InvalidRequestError` if ``ids`` are few.
    """
    room = length - len(beginning)
    scored = room if beginning else room - 1
    count = -(-tokens // scored)
    if len(ids) < count * room:
        raise InvalidRequestError("tokens", f"{count * room:,} of {len(ids):,} that the text has")
    return [[*beginning, *ids[i * room : (i + 1) * room]] for i in range(count)]


def of_network(network: Network[Any]) -> Scored:
    """All scores of a text that is read at once."""

    @torch.inference_mode()
    def scored(tokens: Sequence[int]) -> Tensor:
        piece = Piece(tokens, network.new_cache(), wanted=len(tokens))
        return network.step([piece])[0]

    return scored


class LlamaCpp(AbstractContextManager["LlamaCpp"]):
    """llama.cpp's hidden states of a GGUF's tokens, times ``head`` ``[vocabulary, width]``."""

    def __init__(self, file: Path, head: Tensor, length: int, threads: int) -> None:
        import httpx
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_parallel, params.n_ctx = 1, length
        params.n_batch = params.n_ubatch = length
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_NONE
        params.cache_ram_mib = 0
        params.verbosity = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self._server: Any = xllamacpp.Server(params)
        self._client = httpx.Client(base_url=self._server.listening_address, timeout=3600)
        self._head = head

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._server = None

    def __call__(self, tokens: Sequence[int]) -> Tensor:
        """Float32 scores after each of the tokens."""
        body = {"content": list(tokens), "embd_normalize": -1}
        answer = self._client.post("/embedding", json=body).raise_for_status().json()
        return torch.tensor(answer[0]["embedding"]) @ self._head.T


def contenders(
    opened: OpenBundle, format: str, length: int, threads: int, llama: bool
) -> Iterator[tuple[str, AbstractContextManager[Scored]]]:
    """Name and scores of each, the reference first; loaded when it is asked for."""
    checkpoint = opened.checkpoint
    floats = load_decoder(checkpoint, dtype=torch.float32, device=torch.device("cpu"))
    yield "float32", nullcontext(of_network(floats))
    if format == "rounded":
        checkpoint = replace(checkpoint, read_blocks=lambda name: None)
    yield "packed", nullcontext(of_network(load_packed(checkpoint, best_player())))
    if opened.bundle.weights is not None and format != "rounded" and llama:
        tied = "lm_head.weight" not in checkpoint.names
        head = checkpoint.tensor("model.embed_tokens.weight" if tied else "lm_head.weight")
        yield "llama.cpp", LlamaCpp(opened.bundle.weights, head.float(), length, threads)


def measured(
    opened: OpenBundle,
    format: str,
    texts: Sequence[Sequence[int]],
    skipped: int,
    threads: int,
    llama: bool,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, Quality]:
    """Of everyone on these weights; the first ``skipped`` tokens of a text are not scored."""
    length = max(map(len, texts))
    tallies: dict[str, Tally] = {}
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(scored)
            for name, scored in contenders(opened, format, length, threads, llama)
        }
        for done, text in enumerate(texts):
            targets = torch.tensor(text[skipped:])
            places = slice(skipped - 1, -1)
            reference: Tensor | None = None
            for name, scored in found.items():
                scores = scored(text)[places]
                reference = scores if reference is None else reference
                tallies.setdefault(name, Tally()).add(reference, scores, targets)
            report(done + 1)
    return {name: tally.quality() for name, tally in tallies.items()}


def shown(results: Mapping[str, Mapping[str, Quality]], title: str) -> Table:
    """One row for each arithmetic on each format of weights."""
    table = Table(title=title)
    for name in ("weights", "arithmetic"):
        table.add_column(name)
    for name in ("perplexity", "change", "KL (nats)", "same likeliest"):
        table.add_column(name, justify="right")
    for format, found in results.items():
        for name, quality in found.items():
            reference = name == "float32"
            table.add_row(
                format,
                name,
                f"{quality.perplexity:.4f}",
                "" if reference else f"{quality.change:+.4%}",
                "" if reference else f"{quality.divergence:.2e}",
                "" if reference else f"{quality.same:.2%}",
            )
        table.add_section()
    return table


def main(
    model: Annotated[str, typer.Option(help="Name or path of a language model.")] = DEFAULT_MODEL,
    formats: Annotated[
        str, typer.Option(help=f"Of {', '.join(FORMATS)}; separated by commas.")
    ] = ",".join(FORMATS),
    tokens: Annotated[int, typer.Option(min=1, help="Tokens scored.")] = 20_000,
    length: Annotated[int, typer.Option(min=2, help="Tokens of each text.")] = 512,
    text: Annotated[
        Path | None, typer.Option(help="Real prose, UTF-8; else Python's docstrings.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    llama: Annotated[bool, typer.Option(help="Also llama.cpp on the same files.")] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
) -> None:
    """Measure perplexity and KL divergence of packed arithmetic against float32."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(threads)
    if llama and find_spec("xllamacpp") is None:
        console.print("llama.cpp is missing: pip install 'studiolo\\[bench]'", style="yellow")
        llama = False
    try:
        results, title = bench(console, model, formats, tokens, length, text, threads, llama)
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    console.print(shown(results, title))
    console.print(
        "Each against float32 on the same weights. llama.cpp: its hidden states, times the float32 "
        "matrix of scores, so its own last product loses nothing here."
    )
    if json_file is not None:
        record = {
            format: {name: asdict(quality) for name, quality in found.items()}
            for format, found in results.items()
        }
        known = {"title": title, "results": record}
        json_file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def bench(
    console: Console,
    model: str,
    formats: str,
    tokens: int,
    length: int,
    text: Path | None,
    threads: int,
    llama: bool,
) -> tuple[dict[str, dict[str, Quality]], str]:
    """The results by format and arithmetic, and what they are of."""
    asked = [name.strip() for name in formats.split(",")]
    if unknown := sorted(set(asked) - set(FORMATS)):
        raise InvalidRequestError("formats", f"{', '.join(unknown)} not among {', '.join(FORMATS)}")
    bundle = ensure(model)
    opened = OpenBundle.of(bundle)
    prose = prose_of(text)[: 16 * (tokens + length)]
    beginning = opened.tokenizer.encode("")
    ids = opened.tokenizer.encode(prose)[len(beginning) :]
    texts = windows(ids, beginning, tokens, length)
    results: dict[str, dict[str, Quality]] = {}
    for format in asked:
        if format in ("file", "rounded"):
            one = opened
        elif bundle.weights is None:
            console.print(f"{format} is left out: this model has no GGUF", style="yellow")
            continue
        else:
            file = cached(bundle.weights, format.upper())
            one = OpenBundle.of(replace(bundle, path=file.parent, names=(file.name,)))

        console.print(f"{format}: {len(texts)} texts …")

        def report(done: int, format: str = format) -> None:
            if console.is_terminal:
                console.print(f"{format}: {done} of {len(texts)} texts ", end="\r")

        skipped = max(1, len(beginning))
        results[format] = measured(one, format, texts, skipped, threads, llama, report)
    return results, f"{bundle.name}, {tokens:,} tokens in texts of {length}"


def prose_of(text: Path | None) -> str:
    """The text to score; raises :class:`InvalidRequestError` where there is no such file."""
    if text is None:
        return "\n\n".join(docstrings())
    if not text.is_file():
        raise InvalidRequestError("text", f"there is no file {str(text)!r}")
    return text.read_text(encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
