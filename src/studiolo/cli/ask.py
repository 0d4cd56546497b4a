"""``studiolo ask``: a question is answered from an index, each sentence with its evidence.

A model below a thousand million parameters quotes better than it writes, and is not even loaded:
the answer is then put together of the documents' own sentences, and says so. ``--json`` prints
``answer``, ``supported``, ``kind``, ``withheld`` and ``citations``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.loading import STARTER, DeviceOption, ModelOption, load_model
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.cli.reading import read_prompt
from studiolo.cli.search import (
    AsOption,
    EncoderOption,
    FilterOption,
    IndexOption,
    asker_of,
    open_index,
    read_filter,
)

if TYPE_CHECKING:
    from studiolo.retrieval.answer import Answer, Writer

LARGE_ENOUGH = 1_000_000_000
"""Parameters from which a model is trusted to write an answer of its own."""
MAX_TOKENS = 200


class How(StrEnum):
    """Who writes the answer."""

    AUTO = "auto"
    GENERATE = "generate"
    EXTRACT = "extract"


class Unsupported(StrEnum):
    """What becomes of a sentence without evidence."""

    MARK = "mark"
    WITHHOLD = "withhold"


def ask(
    index: IndexOption,
    question: Annotated[
        str | None, typer.Argument(help="The question; standard input if absent or `-`.")
    ] = None,
    model: ModelOption = STARTER,
    how: Annotated[
        How,
        typer.Option(
            help="generate: the model writes; extract: sentences are quoted; auto: the model "
            "writes if it is large enough."
        ),
    ] = How.AUTO,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Read this many passages.")] = 8,
    filter: FilterOption = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Read what stands around the passages as well.")
    ] = False,
    unsupported: Annotated[
        Unsupported, typer.Option(help="Mark sentences without evidence, or leave them out.")
    ] = Unsupported.MARK,
    as_names: AsOption = None,
    encoder: EncoderOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Answer a question from an index, each sentence with evidence."""
    from studiolo.retrieval.answer import ask as answer

    text = read_prompt(question, None, "question")
    asked = read_filter(filter)
    found, embedder = open_index(index, encoder, device)
    made = answer(
        found,
        text,
        embedder,
        asker=asker_of(as_names),
        write=_writer(model, how, device),
        k=k,
        filter=asked,
        unsupported=unsupported.value,
        wide=wide,
    )
    if json:
        print_json(made.to_dict())
    else:
        _show(made)


def _writer(model: str, how: How, device: str) -> Writer | None:
    """What the model says next, loaded only when there is something to be answered."""
    if how is How.EXTRACT or (how is How.AUTO and not _large(model)):
        return None

    def write(messages: list[dict[str, str]]) -> str:
        lm = load_model(model, device)
        return lm.chat(messages, max_tokens=MAX_TOKENS, temperature=0.0).text

    return write


def _large(model: str) -> bool:
    """Whether a model has enough parameters; one of a size that nobody has told counts as large."""
    from studiolo.bundle.catalogue import Catalogue
    from studiolo.bundle.store import find, home

    bundle = find(model)
    found = bundle.installed if bundle is not None else Catalogue.load(home()).entries.get(model)
    return found is None or found.parameters is None or found.parameters >= LARGE_ENOUGH


def _show(made: Answer) -> None:
    numbers: dict[tuple[str, int, int], int] = {}
    for each in made.citations:
        marks = []
        for reference in each.references:
            place = (reference.source, reference.start, reference.end)
            marks.append(numbers.setdefault(place, len(numbers) + 1))
        tail = "".join(f" [{number}]" for number in marks) or " [no evidence]"
        print(for_terminal(each.sentence + tail))
    if not made.citations:
        print(made.answer)
    pages = {
        (each.source, each.start, each.end): each.page
        for citation in made.citations
        for each in citation.references
    }
    if numbers:
        print()
    for place, number in numbers.items():
        source, start, end = place
        page = "" if pages[place] is None else f", page {pages[place]}"
        print(for_terminal(f"[{number}] {source}{page}, {start}-{end}"))
    if made.kind == "extractive":
        note("Quoted from the documents; no model wrote this.")
    if made.withheld:
        note(f"{made.withheld} sentences without evidence are left out.")
