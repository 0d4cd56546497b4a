"""``studiolo search``: a question finds passages of an index.

``--json`` prints the list ``[{text, source, page, start, end, score}]``, best first. Who reads the
index's files may see all of it, so that the command asks as the owner, unless ``--as`` says whose
sight is to be tried.
"""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.loading import DeviceOption
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.cli.reading import read_prompt
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.retrieval.asker import Asker
    from studiolo.retrieval.embedder import ModelEmbedder
    from studiolo.retrieval.index import Index


class How(StrEnum):
    """How passages are found; those of :mod:`studiolo.retrieval.search`."""

    HYBRID = "hybrid"
    VECTORS = "vectors"
    WORDS = "words"


IndexOption = Annotated[str, typer.Option("--index", metavar="NAME", help="The name of the index.")]
AsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="See only what access lists let this name see; may be given several times.",
    ),
]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="JSON",
        help='Look only at documents whose metadata match, as {"equals": {"key": …, "value": …}}.',
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="MODEL",
        help="The encoder that the index was made with, if it lies elsewhere by now.",
    ),
]


def search(
    index: IndexOption,
    query: Annotated[
        str | None, typer.Argument(help="The question; standard input if absent or `-`.")
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Find this many passages.")] = 5,
    how: Annotated[
        How, typer.Option(help="By meaning (vectors), by words, or by both.")
    ] = How.HYBRID,
    filter: FilterOption = None,
    diversity: Annotated[
        float,
        typer.Option(metavar="D", help="From 0 to 1: hold back what resembles a better passage."),
    ] = 0.0,
    as_names: AsOption = None,
    encoder: EncoderOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Find the passages of an index that fit a question."""
    from studiolo.retrieval.search import search as find

    text = read_prompt(query, None, "query")
    asked = read_filter(filter)
    found, embedder = open_index(index, encoder, device)
    hits = find(
        found,
        text,
        embedder,
        asker=asker_of(as_names),
        k=k,
        how=how.value,
        filter=asked,
        diversity=diversity,
    )
    if json:
        print_json([hit.to_dict() for hit in hits])
        return
    for hit in hits:
        page = "" if hit.page is None else f", page {hit.page}"
        print(for_terminal(f"{hit.score:.3f}  {hit.source}{page}, {hit.start}-{hit.end}"))
        print(for_terminal("    " + hit.text.strip().replace("\n", "\n    ") + "\n"))
    if not hits:
        note("Nothing was found.")


def open_index(name: str, encoder: str | None, device: str) -> tuple[Index, ModelEmbedder]:
    """The index of that name and the encoder that it was made with."""
    from studiolo.cli.loading import load_encoder
    from studiolo.retrieval.embedder import ModelEmbedder
    from studiolo.retrieval.index import Index

    index = Index.open(name)
    embedder = ModelEmbedder(load_encoder(encoder or index.settings.encoder, device))
    return index, embedder


def asker_of(names: list[str] | None) -> Asker:
    """The owner, or whoever has these names."""
    from studiolo.retrieval.asker import OWNER, Asker

    return OWNER if names is None else Asker.known_as(names)


def read_filter(text: str | None) -> Any:
    """The filter that an option gives as JSON."""
    if text is None:
        return None
    try:
        return json_module.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("--filter", f"is no JSON: {error}") from None
