"""A corpus as one HTML page that needs nothing else: what came in, what was dropped, and samples.

Drawn from the manifest alone. Every text is escaped: a document may be anything. Does not know
the shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from studiolo.errors import SourceError
from studiolo.record.journal import replace_file
from studiolo.training.corpus.bars import lengths, stacked
from studiolo.training.corpus.manifest import CorpusManifest, Example, Reason, SourceReport
from studiolo.training.report import STYLE

_OWN = (
    "body{max-width:60rem}th{text-align:left;padding:.15rem 1rem .15rem 0}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "code{font-size:.85em;word-break:break-all}summary{cursor:pointer;margin:.3rem 0}"
    "pre{font:13px/1.4 ui-monospace,monospace;margin:.4rem 0 1rem}.why{color:#666}"
)


def write_page(path: Path, manifest: CorpusManifest) -> None:
    """Write the page of that corpus; raises :class:`SourceError` if it cannot be written."""
    try:
        replace_file(path, page(manifest).encode("utf-8", "replace"))
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror or error}") from None


def page(manifest: CorpusManifest) -> str:
    """The page."""
    parts = [
        f"<h1>{escape(manifest.name)}</h1>",
        _table((), list(_facts(manifest))),
        "<h2>What became of the documents</h2>",
        stacked([(each.name, _fates(each)) for each in manifest.sources]),
        "<h2>Tokens by source</h2>",
        stacked(
            [
                ("training", {each.name: each.training.tokens for each in manifest.sources}),
                ("validation", {each.name: each.validation.tokens for each in manifest.sources}),
            ]
        ),
        "<h2>Sources</h2>",
        _sources(manifest),
        *(part for each in manifest.sources for part in _source(each)),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(manifest.name)}</title><style>{STYLE}{_OWN}</style>\n"
        + "\n".join(parts)
        + "\n"
    )


def _facts(manifest: CorpusManifest) -> Iterator[tuple[str, str]]:
    training, validation = manifest.training, manifest.validation
    yield "training", f"{training.tokens:,} tokens of {training.documents:,} documents"
    yield "validation", f"{validation.tokens:,} tokens of {validation.documents:,} documents"
    yield (
        "tokenizer",
        f"{manifest.vocabulary:,} tokens, {_ratio(manifest.bytes_per_token)} bytes each",
    )
    yield "licence", manifest.licence
    yield "digest", manifest.digest
    yield "recipe (SHA-256)", manifest.recipe_digest


def _fates(source: SourceReport) -> dict[str, float]:
    """Documents by what became of them."""
    fates: dict[str, float] = {"kept": source.kept.documents}
    fates |= {name: step.dropped for name, step in source.steps.items()}
    return fates | {"unreadable": source.unreadable.count}


def _sources(manifest: CorpusManifest) -> str:
    titles = (
        "source",
        "read",
        "kept",
        "weight",
        "training",
        "validation",
        "bytes/token",
        "licence",
    )
    return _table(
        titles,
        [
            (
                each.name,
                f"{each.read.documents:,}",
                f"{each.kept.documents:,}",
                f"{each.weight:g}",
                f"{each.training.tokens:,}",
                f"{each.validation.tokens:,}",
                _ratio(each.bytes_per_token),
                ", ".join(each.licences) or "–",
            )
            for each in manifest.sources
        ],
    )


def _source(source: SourceReport) -> Iterator[str]:
    yield f"<h2>{escape(source.name)}</h2>"
    kinds = ", ".join(f"{count:,} × {kind}" for kind, count in source.kinds.items())
    yield f"<p>{source.files:,} files ({escape(kinds)}), SHA-256 <code>{source.digest}</code></p>"
    if any(source.lengths):
        yield f"<h3>Documents by number of tokens</h3>{lengths(source.lengths)}"
    reasons = {("reading", "could not be read"): source.unreadable}
    reasons |= {
        (name, why): reason
        for name, step in source.steps.items()
        for why, reason in step.reasons.items()
    }
    changed = {name: step.changed for name, step in source.steps.items() if step.changed}
    if changed:
        told = ", ".join(f"{count:,} by {name}" for name, count in changed.items())
        yield f"<p>Changed: {escape(told)}.</p>"
    if any(reason.count for reason in reasons.values()):
        yield "<h3>Dropped</h3>"
        for (name, why), reason in reasons.items():
            if reason.count:
                yield _dropped(name, why, reason)
    if source.samples:
        yield "<h3>Kept, a few of them</h3>"
        yield from (
            f"<details{' open' if i == 0 else ''}><summary>{escape(each.identity)}</summary>"
            f"<pre>{escape(each.text)}</pre></details>"
            for i, each in enumerate(source.samples)
        )


def _dropped(name: str, why: str, reason: Reason) -> str:
    inside = "".join(_example(each) for each in reason.examples)
    return (
        f"<details><summary><b>{reason.count:,}</b> by {escape(name)}: {escape(why)}</summary>"
        f"{inside}</details>"
    )


def _example(example: Example) -> str:
    text = f"<pre>{escape(example.text)}</pre>" if example.text else "<br>"
    return (
        f"<div>{escape(example.identity)} "
        f'<span class="why">{escape(example.detail)}</span></div>{text}'
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; under titles, columns of numbers stand to the right."""

    def right(column: int) -> str:
        cells = [row[column].replace(",", "").replace(".", "") for row in rows]
        return " class=n" if titles and all(each.isdigit() for each in cells) else ""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{right(i)}>{escape(cell)}</{tag}>" for i, cell in enumerate(cells))

    head = f"<tr>{line(titles, 'th')}</tr>" if titles else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
