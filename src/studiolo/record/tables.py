"""The tables, as they are after the newest migration.

One convention each. *A time* is a number of UTC Unix seconds. *A key* is the id of a key, never
its secret; it is null for what was asked without one, where no keys exist. *An id* is made here,
of random letters, and is safe in a path. Whatever belongs to somebody has the column ``key``.

The ledger refers to nothing, so that no row of it can be refused; what else belongs to a key
refers to it. Keys are revoked, never deleted.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


def _key() -> Column[str]:
    return Column("key", Text, ForeignKey("keys.id"))


keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("budget", Double),
    Column("budget_per", Text),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text),
    Column("user", Text),
    Column("dialect", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("model", Text),
    Column("weights", Text),
    Column("day", BigInteger, nullable=False),  # of started, since 1970-01-01 UTC
    Column("started", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("seconds_to_first", Double),
    Column("status", BigInteger, nullable=False),
    Column("error", Text),
    Column("finish_reason", Text),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cost", Double, nullable=False),
    Column("joules", Double, nullable=False),
    Index(None, "started", "id"),
    Index(None, "key", "started", "cost"),  # a key's spending is summed from the index alone
)

contents = Table(
    "contents",
    metadata,
    Column("request", Text, primary_key=True),
    _key(),
    Column("user", Text),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("prompt", Text),
    Column("output", Text),
    Column("receipt", LargeBinary),
    Index(None, "key"),
    Index(None, "user"),
    Index(None, "expires"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("request", Text, primary_key=True),
    _key(),
    Column("rating", Double, nullable=False),
    Column("comment", Text, nullable=False),
    Column("correction", Text),
    Column("consent", Boolean, nullable=False, server_default=false()),
    Column("created", Double, nullable=False),
    Index(None, "key", "created"),
)

files = Table(
    "files",
    metadata,
    Column("id", Text, primary_key=True),
    _key(),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Index(None, "key", "created"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    _key(),
    Column("endpoint", Text, nullable=False),
    Column("input_file", Text, nullable=False),
    Column("output_file", Text),
    Column("error_file", Text),
    Column("status", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("error", Text),
    Column("metadata", JSON, nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("finalizing", Double),
    Column("cancelling", Double),
    Column("finished", Double),
    Column("expires", Double, nullable=False),
    Column("worker", Text),
    Column("lease", Double),
    Index(None, "status", "created"),
    Index(None, "key", "created"),
)


def printable(text: str, limit: int = 500) -> str:
    """``text`` as any database holds it: without NUL and lone surrogates, cut to ``limit``."""
    return text[:limit].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
