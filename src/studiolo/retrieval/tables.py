"""The columns of an index's two tables, and rows made of documents.

A passage's row holds all that a query asks about: who may see it, its metadata, its vector, and
``indexed``: the headings above it and its text, which are what both kinds of search compare. The
first ``lead`` characters of that are the headings; the rest is the text of the document from
``start`` to ``end``. pyarrow's types are made when they are asked for, since that import is heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from studiolo.retrieval.chunking import Chunk
from studiolo.retrieval.document import Document
from studiolo.retrieval.embedder import Vectors
from studiolo.retrieval.facts import Facts, Type
from studiolo.retrieval.filters import PREFIX

MAX_LEAD = 200
"""Characters of headings that are put before a passage."""


def passages_schema(width: int) -> Any:
    """Of vectors of ``width`` numbers, without metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.string()),
            ("source", pa.string()),
            ("digest", pa.string()),
            ("kind", pa.string()),
            ("text_key", pa.string()),
            ("facts", pa.string()),
            ("everyone", pa.bool_()),
            ("access", pa.list_(pa.string())),
            ("number", pa.int32()),
            ("page", pa.int32()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("parent_start", pa.int64()),
            ("parent_end", pa.int64()),
            ("lead", pa.int32()),
            ("indexed", pa.string()),
            ("vector", pa.list_(pa.float32(), width)),
        ]
    )


def texts_schema() -> Any:
    """Of texts by the digest of text and pages."""
    import pyarrow as pa

    return pa.schema(
        [("key", pa.string()), ("text", pa.large_string()), ("pages", pa.list_(pa.int64()))]
    )


def type_of_column(column: Any) -> Type:
    """The type of metadata that a column of pyarrow's type holds."""
    import pyarrow.types as arrow

    if arrow.is_boolean(column):
        return "truth"
    if arrow.is_floating(column):
        return "number"
    return "texts" if arrow.is_list(column) else "text"


def column_of(name: str, own: Type) -> Any:
    """A column for metadata of that type, in which nothing need stand."""
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_()}
    return pa.field(name, types.get(own, pa.list_(pa.string())))


def key_of(source: str) -> str:
    """The key of the document at that path: hexadecimal, whatever the path is."""
    return sha256(source.encode()).hexdigest()[:32]


def text_key(document: Document) -> str:
    """The key of a document's text, which two copies of one file share."""
    digest = sha256(document.extract.text.encode())
    digest.update(repr(document.extract.pages).encode())
    return digest.hexdigest()


def indexed_text(document: Document, chunk: Chunk) -> tuple[str, int]:
    """What a passage is compared as, and how many characters of it are headings."""
    text = document.extract.text[chunk.start : chunk.end]
    # A passage that begins with its own heading says that itself.
    above = chunk.path[:-1] if chunk.path and chunk.path[-1] in text[:300] else chunk.path
    lead = " > ".join(above)[:MAX_LEAD]
    return (f"{lead}\n{text}", len(lead) + 1) if lead else (text, 0)


def rows(
    document: Document,
    chunks: Sequence[Chunk],
    facts: Facts,
    fits: Callable[[str], bool] = lambda text: True,
) -> Iterable[dict[str, Any]]:
    """A row for each passage, without its vector.

    ``fits``: whether the model reads so long a text whole; headings for which there is no room are
    left out.
    """
    key, text = key_of(document.source), text_key(document)
    shared = {
        "document": key,
        "source": document.source,
        "digest": document.digest,
        "kind": document.kind,
        "text_key": text,
        **facts_values(facts),
    }
    for number, chunk in enumerate(chunks):
        indexed, lead = indexed_text(document, chunk)
        if lead and not fits(indexed):
            indexed, lead = indexed[lead:], 0
        yield {
            **shared,
            "id": sha256(f"{key} {document.digest} {number}".encode()).hexdigest()[:32],
            "number": number,
            "page": document.extract.page(chunk.start),
            "start": chunk.start,
            "end": chunk.end,
            "parent_start": chunk.parent_start,
            "parent_end": chunk.parent_end,
            "lead": lead,
            "indexed": indexed,
        }


def facts_values(facts: Facts) -> dict[str, Any]:
    """The values of a document's columns that its rules decide; an empty list is none."""
    return {
        "facts": facts.digest,
        "everyone": facts.access is None,
        "access": list(facts.access or ()) or None,
        **{PREFIX + name: value for name, value in facts.metadata.items() if value != []},
    }


def table(schema: Any, made: Sequence[dict[str, Any]], vectors: Vectors) -> Any:
    """Rows and their vectors as a table of pyarrow."""
    import pyarrow as pa

    columns = {
        field.name: pa.array([row.get(field.name) for row in made], field.type)
        for field in schema
        if field.name != "vector"
    }
    flat = pa.array(vectors.ravel(), pa.float32())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table([columns[name] for name in schema.names], schema=schema)
