"""Where the records are: a file of SQLite, or a database of PostgreSQL, named by one URL.

A password may stand in a URL, and messages end up in logs. So a :class:`Location` knows how to
show itself without, and how to take secrets out of what a driver says; a URL in which it is not
plain where the password ends (an ``@`` or ``/`` that is not percent-encoded) is refused, and then
nothing of it is shown. Opens nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from studiolo.bundle.store import home
from studiolo.errors import InvalidRequestError

SCHEMES = ("postgresql", "postgres")
FILE = "records.db"
FORMS = "It is a path, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE."


@dataclass(frozen=True)
class Location:
    """``path`` is of SQLite's file, else None. ``shown``: for messages, without a password."""

    url: URL = field(repr=False)
    shown: str
    path: Path | None
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str | None = None) -> Self:
        """The location that ``text`` names; without one, ``records.db`` in Studiolo's home.

        Raises :class:`InvalidRequestError`, naming ``records``, for what names none.
        """
        if text is None:
            return cls._file(home() / FILE)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls._file(_path(text))
        if scheme == "sqlite":
            if not rest.startswith("/"):
                raise _wrong("a SQLite file has no host", "Write sqlite:///PATH.")
            return cls._file(_path(rest[1:]))
        if scheme in SCHEMES:
            return cls._server(rest)
        raise _wrong(f"{scheme[:20]!r} is no database that is known here", FORMS)

    @classmethod
    def _file(cls, path: Path) -> Self:
        return cls(URL.create("sqlite", database=str(path)), str(path), path, ())

    @classmethod
    def _server(cls, rest: str) -> Self:
        authority, *others = re.split("[/?#]", rest, maxsplit=1)
        if authority.count("@") > 1 or "@" in "".join(others):
            raise _wrong(
                "it is not plain where the password ends",
                "Percent-encode what is special in it: %40 for @, %2F for /, %3A for :, %3F for ?.",
            )
        try:
            url = make_url(f"postgresql+psycopg://{rest}")
        except (ArgumentError, ValueError):
            raise _wrong("a PostgreSQL URL that cannot be read", FORMS) from None
        named = [url.password, *(url.query.get(name) for name in ("password", "sslpassword"))]
        secrets = tuple(each for each in named if isinstance(each, str) and each)
        bare = url.set(drivername="postgresql", query={})
        return cls(url, bare.render_as_string(hide_password=True), None, secrets)

    def without_secrets(self, said: str) -> str:
        """What a driver said, on one line of 300 characters at most and without any password."""
        for secret in self.secrets:
            said = said.replace(secret, "***")
        return f"{' '.join(said.split()):.300}"


def _path(text: str) -> Path:
    if not text or text.startswith((":memory:", "file:")) or "\0" in text:
        raise _wrong("records are kept in a file, and this names none", FORMS)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise _wrong("names the home of a user who is not known here", FORMS) from None


def _wrong(why: str, remedy: str) -> InvalidRequestError:
    return InvalidRequestError("records", why, remedy=remedy)
