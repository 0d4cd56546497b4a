"""``studiolo inspect``: what a model is, from the headers of its files alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from studiolo.cli.output import JsonFlag, for_terminal, print_json, size


def inspect(
    name: Annotated[
        str,
        typer.Argument(help="A name of the catalogue, a .gguf file, or a Hugging Face directory."),
    ],
    json: JsonFlag = False,
) -> None:
    """Describe a model without loading it."""
    from studiolo.bundle.address import local
    from studiolo.bundle.catalogue import Catalogue
    from studiolo.bundle.store import find, home, looks_like_path
    from studiolo.cli.facts import of_bundle, of_entry

    bundle = local(name) if looks_like_path(name) else find(name)
    facts = of_bundle(bundle) if bundle else of_entry(Catalogue.load(home())[name])
    if json:
        print_json(facts)
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    for label, said in rows(facts):
        table.add_row(Text(label, style="bold"), Text(for_terminal(said)))
    Console(highlight=False).print(table)


def rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The facts in words, one line each; what is not known has no line."""
    yield "name", facts["name"]
    if not facts["installed"]:
        yield "here", f"no; `studiolo pull {facts['name']}` fetches {size(facts['bytes_to_fetch'])}"
    for key in ("path", "format", "family", "modality", "architecture", "licence", "good_for"):
        if facts.get(key):
            yield key.replace("_", " "), str(facts[key])
    if facts.get("parameters"):
        yield "parameters", f"{facts['parameters']:,}"
    if facts.get("context_length"):
        yield "context", f"{facts['context_length']:,} tokens"
    if sizes := facts.get("sizes"):
        yield "network", _network(sizes)
    if vector := facts.get("vector"):
        yield "vector", _vector(vector)
    if arithmetic := facts.get("arithmetic"):
        yield "arithmetic", f"{arithmetic}, on a processor; bfloat16 on a GPU"
        yield "memory, packed", f"{size(facts['memory']['weights_packed'])} of weights"
    for dtype in ("float32", "bfloat16"):
        if f"weights_{dtype}" in facts.get("memory", {}):
            yield f"memory, {dtype}", _memory(facts["memory"], dtype)
    if types := facts.get("tensor_types"):
        yield "tensors", ", ".join(f"{count} {name}" for name, count in types.items())
    if tokenizer := facts.get("tokenizer"):
        yield "tokenizer", _tokenizer(tokenizer)
    if defaults := facts.get("defaults"):
        yield "recommended", ", ".join(f"{name} {value:g}" for name, value in defaults.items())
    if source := facts.get("source"):
        yield "from", source["where"] + (f", {source['fetched']}" if source["fetched"] else "")
    if lineage := facts.get("lineage"):
        made = ", ".join(f"{name}: {value}" for name, value in lineage.items() if value)
        yield "lineage", made or "not recorded: fetched ready-made"
    if facts.get("digest"):
        yield "digest", facts["digest"]
    for file in facts["files"]:
        yield "file", f"{file['path']}\n{size(file['size'])}, sha256 {file['sha256']}"
    if facts.get("note"):
        yield "note", facts["note"]


def _network(sizes: dict[str, Any]) -> str:
    heads = f"{sizes['heads']} heads"
    if "kv_heads" in sizes:
        heads = f"{sizes['heads']} query and {sizes['kv_heads']} key-value heads"
    text = (
        f"{sizes['layers']} layers of width {sizes['width']:,}, MLP {sizes['mlp_width']:,}, "
        f"{heads} of {sizes['head_size']}, vocabulary {sizes['vocabulary']:,}"
    )
    if sizes.get("sliding_layers"):
        text += f"; {sizes['sliding_layers']} layers see {sizes['sliding_window']:,} tokens back"
    return text


def _vector(vector: dict[str, Any]) -> str:
    pooled = {"mean": "the mean of", "cls": "the first of", "max": "the greatest of"}
    text = f"{vector['width']:,} numbers, {pooled[vector['pooling']]} the last layer's vectors"
    return text + (", scaled to length 1" if vector["normalised"] else ", of any length")


def _memory(memory: dict[str, int], dtype: str) -> str:
    text = f"{size(memory[f'weights_{dtype}'])} of weights"
    cache = memory.get(f"cache_per_1000_tokens_{dtype}")
    return text if cache is None else f"{text}, {size(cache)} of cache for every 1,000 tokens"


def _tokenizer(facts: dict[str, Any]) -> str:
    if "note" in facts:
        return str(facts["note"])
    ends = ", ".join(f"{text!r} ({id})" for id, text in facts["end_tokens"].items())
    template = "with" if facts["chat_template"] else "without"
    return (
        f"{facts['kind']}, {facts['vocab_size']:,} tokens, ends with {ends or 'none'}, "
        f"{template} a chat template"
    )
