"""Descriptions of Debian's packages: stanzas of fields, as RFC 822 has headers.

The files that ``apt`` keeps as ``Translation-en``, or a ``Packages`` index. One document for each
package: its synopsis as the first line, then the description, whose lines stand one space in and
whose blank lines are a dot (Debian Policy, §5.6.13).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import LONGEST, Fields, Row, as_text


def read_debian(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """A document for each stanza with a description; raises as a text file's reader."""
    with as_text(path) as file:
        stanza: list[str] = []
        number = size = 0
        while True:
            line = file.readline(LONGEST)
            if line.strip() and size < LONGEST:
                stanza.append(line.rstrip("\r\n"))
                size += len(line)
                continue
            if stanza:
                number += 1
                yield from described(stanza, str(number))
            stanza, size = [line.rstrip("\r\n")] if line.strip() else [], 0
            if not line:
                return


def described(stanza: list[str], part: str) -> Iterator[Row | Unreadable]:
    """The document of one stanza, if it has a description; ``part``: its number."""
    name, lines, inside = part, [], False
    for line in stanza:
        if line[:1] in (" ", "\t"):
            if inside:
                lines.append("" if line.strip() == "." else line[1:])
            continue
        field, colon, value = line.partition(":")
        if not colon:
            yield Unreadable(part, f"has a line that is no field: {line[:80]!r}")
            return
        field = field.lower()
        if field == "package":
            name = value.strip()
        inside = field == "description" or (
            field.startswith("description-") and field != "description-md5"
        )
        if inside:
            lines = [value.strip()]
    if lines:
        yield Row("\n".join(lines).strip(), name)
