"""Documents that were kept, laid aside on disk until all are known: one file a source.

A line of JSON each; read again as often as they are needed, one at a time. They go when the build
ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from studiolo.training.corpus.document import Document


class Stage:
    """Of one source; written within a ``with``, and read after it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, document: Document) -> None:
        """Lay one aside."""
        value = [document.text, document.identity, document.licence, document.image]
        self._file.write(json.dumps(value) + "\n")

    def documents(self, source: str) -> Iterator[Document]:
        """All of them, in order."""
        with self._path.open(encoding="ascii") as file:
            for line in file:
                text, identity, licence, image = json.loads(line)
                yield Document(text, source, identity, licence, image)

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="ascii")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
