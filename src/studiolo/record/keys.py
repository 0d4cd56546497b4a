"""Keys: who may ask at all. Made, listed, found by their secret, revoked.

A key is public but for its secret (:mod:`studiolo.record.secret`). Keys are revoked, never
deleted: what was recorded of them stays theirs.

Notable choices. *Every request asks for its key*, so what was read is taken for granted for a
second (:mod:`studiolo.record.recent`); that is also how long a key lives on after it was revoked,
in this process or another. *An unknown id costs what a known one does*: a look into the same
memory or the same table, a hash, and a comparison in constant time.

Does not count requests, tokens or costs: :class:`Limits` says how much is allowed, the server
counts, and the ledger sums.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select

from studiolo.errors import NotFoundError
from studiolo.record import tables
from studiolo.record.database import Database
from studiolo.record.grant import Budget, Key, Limits, Scope
from studiolo.record.recent import Recent
from studiolo.record.secret import AwsCredentials, Secret, id_of_access_key, master_secret


@dataclass(frozen=True)
class NewKey:
    """A key that was just made, with what is shown this once."""

    key: Key
    secret: str = field(repr=False)
    aws: AwsCredentials


@dataclass(frozen=True)
class _Stored:
    key: Key
    digest: bytes


class Keys:
    """The keys in ``database``. ``clock``: seconds that never go back."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._stored: Recent[str, _Stored | None] = Recent(self._read, clock)
        self._some: Recent[None, bool] = Recent(self._read_any, clock)
        self._master: bytes | None = None

    def create(
        self,
        *,
        name: str,
        owner: str = "",
        scopes: Sequence[Scope] = ("inference", "models:read"),
        models: Sequence[str] = ("*",),
        limits: Limits = Limits(),  # noqa: B008  # a frozen value
        expires: float | None = None,
    ) -> NewKey:
        """Make a key; when this returns it is safe on the disk, and its secret nowhere.

        ``owner``: whose it is, for people; ``models``: patterns; ``expires``: Unix seconds.
        Raises :class:`InvalidRequestError` for what a :class:`Key` cannot be.
        """
        secret = Secret.made()
        key = Key(
            id=secret.id,
            name=name,
            owner=owner,
            scopes=tuple(dict.fromkeys(scopes)),
            models=tuple(dict.fromkeys(models)),
            limits=limits,
            created=time.time(),
            expires=expires,
        )
        aws = self._aws(key.id)
        with self._database.begin() as connection:
            connection.execute(tables.keys.insert(), {**_row(key), "digest": secret.digest})
        self._changed(key.id)
        return NewKey(key, str(secret), aws)

    def list(self) -> tuple[Key, ...]:
        """Every key there was, the oldest first."""
        order = tables.keys.c.created, tables.keys.c.id
        with self._database.read() as connection:
            return tuple(
                _key(row) for row in connection.execute(select(tables.keys).order_by(*order))
            )

    def find(self, secret: str) -> Key | None:
        """The key with that bearer secret, or None if there is none that may be used now."""
        parsed = Secret.parse(secret)
        if parsed is None:
            return None
        stored = self._stored.get(parsed.id)
        if not parsed.matches(None if stored is None else stored.digest):
            return None
        return _usable(stored)

    def find_aws(self, access_key_id: str) -> tuple[Key | None, str]:
        """The usable key of an AWS access key id, or None, and the secret to check against.

        There is a secret for an unknown id too, so that a signature is checked either way, after
        which it is refused.
        """
        id = id_of_access_key(access_key_id)
        stored = None if id is None else self._stored.get(id)
        return _usable(stored), self._aws(id or "").secret_access_key

    def aws_secret(self, id: str) -> str:
        """The secret access key of the key ``id``, whether it is there or not."""
        return self._aws(id).secret_access_key

    def revoke(self, id: str) -> Key:
        """End a key for good; one that was revoked before stays as it was.

        Raises :class:`NotFoundError` if there is none.
        """
        keys = tables.keys
        with self._database.begin() as connection:
            ours = keys.c.id == id
            connection.execute(
                keys.update().where(ours, keys.c.revoked.is_(None)).values(revoked=time.time())
            )
            row = connection.execute(select(keys).where(ours)).one_or_none()
        self._changed(id)
        if row is None:
            raise NotFoundError(
                f"no key has the id {id!r:.40}", remedy="`studiolo keys list` shows them."
            )
        return _key(row)

    def any(self) -> bool:
        """Whether a key exists that was not revoked: then every request must show one."""
        return self._some.get(None)

    def remembers(self, secret: str | None = None) -> bool:
        """Whether :meth:`any` or, given a secret, :meth:`find` answers at once, without reading."""
        if secret is None:
            return self._some.fresh(None)
        parsed = Secret.parse(secret)
        return parsed is None or self._stored.fresh(parsed.id)

    def _changed(self, id: str) -> None:
        self._stored.forget(id)
        self._some.forget(None)

    def _aws(self, id: str) -> AwsCredentials:
        if self._master is None:
            self._master = master_secret()
        return AwsCredentials.of(self._master, id)

    def _read(self, id: str) -> _Stored | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(tables.keys).where(tables.keys.c.id == id)
            ).one_or_none()
        return None if row is None else _Stored(_key(row), bytes(row.digest))

    def _read_any(self, _: None) -> bool:
        query = select(tables.keys.c.id).where(tables.keys.c.revoked.is_(None)).limit(1)
        with self._database.read() as connection:
            return connection.scalar(query) is not None


def _usable(stored: _Stored | None) -> Key | None:
    return stored.key if stored is not None and stored.key.usable(time.time()) else None


def _row(key: Key) -> dict[str, Any]:
    limits, budget = key.limits, key.limits.budget
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "budget": None if budget is None else budget.amount,
        "budget_per": None if budget is None else budget.per,
        "created": key.created,
        "expires": key.expires,
    }


def _key(row: Row[Any]) -> Key:
    budget = None if row.budget is None else Budget(row.budget, row.budget_per)
    return Key(
        id=row.id,
        name=row.name,
        owner=row.owner,
        scopes=tuple(row.scopes),
        models=tuple(row.models),
        limits=Limits(row.requests_per_minute, row.tokens_per_minute, budget),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )
