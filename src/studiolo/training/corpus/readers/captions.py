"""Pictures with captions: a text beside each picture, or one ``metadata.jsonl`` for a folder.

The document is the caption, and names its picture. ``cat.png`` has its caption in ``cat.txt``; a
``metadata.jsonl`` has a line ``{"file_name": …, "text": …}`` for each (the ``imagefolder`` of
Hugging Face's ``datasets``). Pictures themselves are not opened here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import LONGEST, Fields, Row, as_text
from studiolo.training.corpus.readers.rows import json_values

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
METADATA = "metadata.jsonl"


def read_captions(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """The captions that ``path`` holds: a picture's own, or all of a ``metadata.jsonl``.

    A picture without a text beside it is told as :class:`Unreadable` unless its folder has a
    ``metadata.jsonl``.
    """
    if path.name == METADATA:
        yield from _listed(path, fields)
        return
    beside = path.with_suffix(".txt")
    if beside.is_file():
        with as_text(beside) as file:
            yield Row(file.read(LONGEST).strip(), image=path.name)
    elif not (path.parent / METADATA).is_file():
        yield Unreadable("", f"has no caption: there is neither {beside.name} nor {METADATA}")


def _listed(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    for part, value in json_values(path):
        if isinstance(value, Unreadable):
            yield value
            continue
        name = value.get("file_name") if isinstance(value, dict) else None
        text = value.get(fields.text[0]) if isinstance(value, dict) else None
        if not isinstance(name, str) or not isinstance(text, str):
            yield Unreadable(part, f"has no texts 'file_name' and {fields.text[0]!r}")
        elif (path.parent / name).suffix.lower() not in PICTURES or ".." in Path(name).parts:
            yield Unreadable(part, f"{name!r:.80} is no picture of this folder")
        elif not (path.parent / name).is_file():
            yield Unreadable(part, f"{name!r:.80} is not there")
        else:
            yield Row(text, name, image=name)
