"""An index on disk: two tables of LanceDB in a folder of its own, and what is asked of them.

``passages`` says which documents there are, and is changed by one commit at a time: no reader ever
sees half of a document, or the old and the new of one. ``texts`` holds, by digest, what places are
counted in; a text without passages is nobody's and is swept away. Every reading looks at the newest
commit, beside a writer or not. Deliberately unknown here: how texts become vectors, and ranking.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from studiolo.bundle.manifest import checked_name
from studiolo.bundle.store import home
from studiolo.errors import (
    BusyError,
    InvalidRequestError,
    MalformedFileError,
    MissingExtraError,
    NotFoundError,
    SourceError,
)
from studiolo.retrieval.asker import Asker
from studiolo.retrieval.document import Extract
from studiolo.retrieval.facts import Type
from studiolo.retrieval.filters import PREFIX, literal
from studiolo.retrieval.settings import NAME, Settings
from studiolo.retrieval.tables import column_of, passages_schema, texts_schema, type_of_column

PASSAGES, TEXTS, LOCK = "passages", "texts", "writing.lock"


def indexes_directory() -> Path:
    """The folder with one folder for every index."""
    return home() / "indexes"


def index_names() -> list[str]:
    """Of all indexes that are here."""
    return sorted(path.parent.name for path in indexes_directory().glob(f"[!.]*/{NAME}"))


@dataclass(frozen=True)
class Held:
    """A document that is in an index. ``facts``: the digest of what its rules say."""

    source: str
    digest: str
    facts: str
    kind: str


class Index:
    """Open one with :meth:`open`, or make it with :meth:`create`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        try:
            import lancedb
        except ImportError:
            raise MissingExtraError("an index", "retrieval") from None
        self._database = lancedb.connect(
            str(folder), read_consistency_interval=timedelta(seconds=0)
        )
        self._tables: dict[str, Any] = {}

    @classmethod
    def open(cls, name: str) -> Index:
        """The index of that name.

        Raises :class:`NotFoundError` if there is none and :class:`MalformedFileError` if it cannot
        be read.
        """
        folder = _place(name)
        if not (folder / NAME).is_file():
            known = ", ".join(index_names())
            raise NotFoundError(
                f"no index is called {name!r}",
                remedy=f"There are: {known}." if known else "`studiolo index DIR` makes one.",
            )
        return cls(folder, Settings.read(folder))

    @classmethod
    def create(cls, name: str, settings: Settings) -> Index:
        """The index of that name, made empty if it is not here.

        Raises :class:`InvalidRequestError` if it is and was made with other settings.
        """
        folder = _place(name)
        if (folder / NAME).is_file():
            made = cls.open(name)
            if made.settings.chunking != settings.chunking:
                raise InvalidRequestError(
                    "chunking",
                    f"{name} was cut by {made.settings.chunking}, and not by {settings.chunking}",
                    remedy=f"`studiolo index --remove --name {name}`, or take another name.",
                )
            return made
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"{folder}: cannot be written: {error.strerror}") from None
        index = cls(folder, settings)
        # In this order: what is killed in between is no index yet, and is gone on with.
        for table, schema in (
            (PASSAGES, passages_schema(settings.width)),
            (TEXTS, texts_schema()),
        ):
            index._database.create_table(table, schema=schema, exist_ok=True)
        settings.write(folder)
        return index

    @property
    def passages(self) -> Any:
        """The table of passages, as of now."""
        return self._table(PASSAGES)

    @property
    def texts(self) -> Any:
        """The table of texts, as of now."""
        return self._table(TEXTS)

    def _table(self, name: str) -> Any:
        if name not in self._tables:
            with blaming(self.folder):
                self._tables[name] = self._database.open_table(name)
        return self._tables[name]

    def types(self) -> dict[str, Type]:
        """The keys of the metadata, and of which type each is."""
        return {
            field.name.removeprefix(PREFIX): type_of_column(field.type)
            for field in self.passages.schema
            if field.name.startswith(PREFIX)
        }

    def documents(self, asker: Asker) -> dict[str, Held]:
        """The documents that ``asker`` may see, by the key under which passages name them."""
        where = " AND ".join(("number = 0", *filter(None, [asker.condition()])))
        columns = ["document", "source", "digest", "facts", "kind"]
        with blaming(self.folder):
            rows = self.passages.search().where(where).select(columns).to_arrow().to_pylist()
        return {
            row["document"]: Held(row["source"], row["digest"], row["facts"], row["kind"])
            for row in sorted(rows, key=lambda row: str(row["source"]))
        }

    def text(self, source: str, asker: Asker) -> Extract:
        """The text of a document, in which places are counted.

        Raises :class:`NotFoundError` if there is none, or none that ``asker`` may see.
        """
        where = " AND ".join(
            (f"number = 0 AND source = {literal(source)}", *filter(None, [asker.condition()]))
        )
        with blaming(self.folder):
            found = self.passages.search().where(where).select(["text_key"]).to_arrow().to_pylist()
            keys = [f"key = {literal(row['text_key'])}" for row in found]
            rows = [self.texts.search().where(key).to_arrow().to_pylist() for key in keys]
        if rows and rows[0]:
            return Extract(rows[0][0]["text"], tuple(rows[0][0]["pages"]))
        raise NotFoundError(
            f"no document {source!r:.200} is in this index",
            remedy="`studiolo show --index NAME` lists those that are.",
        )

    def add_keys(self, types: Mapping[str, Type]) -> None:
        """Have a column for each key of metadata.

        Raises :class:`InvalidRequestError` for one that is here and of another type.
        """
        known = self.types()
        for key, own in types.items():
            if known.get(key, own) != own:
                raise InvalidRequestError(
                    f"rules: {key}",
                    f"is a {own}, and in this index a {known[key]}",
                    remedy="Call it another name, or make the index again.",
                )
        new = [key for key in types if key not in known]
        if new:
            self.passages.add_columns([column_of(PREFIX + key, types[key]) for key in new])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who writes; raises :class:`BusyError` if somebody else does."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"{self.folder.name}: somebody else is writing this index",
                remedy="Wait until it is done. Searching goes on meanwhile.",
            ) from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def blaming(folder: Path) -> Iterator[None]:
    """What LanceDB says of files that are missing or damaged, as :class:`MalformedFileError`."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        why = " ".join(str(error).split())
        raise MalformedFileError(
            f"{folder}: the index is damaged: {why:.300}",
            remedy=f"`studiolo index --remove --name {folder.name}`, and index again.",
        ) from None


def remove_index(name: str) -> None:
    """Delete an index; raises :class:`NotFoundError`, and :class:`BusyError` while it is written.

    A damaged one is deleted too.
    """
    folder = _place(name)
    if not folder.is_dir():
        raise NotFoundError(f"no index is called {name!r}")
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / LOCK, timeout=0):
            grave = folder.with_name(f".removed-{uuid.uuid4().hex}")
            folder.rename(grave)
    except Timeout:
        raise BusyError(f"{name}: somebody is writing this index") from None
    shutil.rmtree(grave, ignore_errors=True)


def in_list(column: str, keys: Sequence[str]) -> str:
    """That a column has one of ``keys``, in SQL."""
    return f"{column} IN ({', '.join(literal(each) for each in keys)})"


def _place(name: str) -> Path:
    try:
        return indexes_directory() / checked_name(name)
    except InvalidRequestError:
        raise InvalidRequestError(
            "name",
            f"{name!r:.150} cannot name an index: use letters, digits, '.', '_' and '-'",
        ) from None
