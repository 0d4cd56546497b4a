"""The first tables: keys, requests, contents, feedback, files, batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("budget", sa.Double),
        sa.Column("budget_per", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("user", sa.Text),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("weights", sa.Text),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("seconds_to_first", sa.Double),
        sa.Column("status", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.Double, nullable=False),
        sa.Column("joules", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index("ix_requests_started_id", "requests", ["started", "id"])
    op.create_index("ix_requests_key_started_cost", "requests", ["key", "started", "cost"])
    op.create_table(
        "contents",
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("user", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("prompt", sa.Text),
        sa.Column("output", sa.Text),
        sa.Column("receipt", sa.LargeBinary),
        sa.PrimaryKeyConstraint("request", name="pk_contents"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_contents_key"),
    )
    op.create_index("ix_contents_key", "contents", ["key"])
    op.create_index("ix_contents_user", "contents", ["user"])
    op.create_index("ix_contents_expires", "contents", ["expires"])
    op.create_table(
        "feedback",
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("rating", sa.Double, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("request", name="pk_feedback"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_feedback_key"),
    )
    op.create_index("ix_feedback_key_created", "feedback", ["key", "created"])
    op.create_table(
        "files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_files_key"),
    )
    op.create_index("ix_files_key_created", "files", ["key", "created"])
    op.create_table(
        "batches",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("input_file", sa.Text, nullable=False),
        sa.Column("output_file", sa.Text),
        sa.Column("error_file", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("finalizing", sa.Double),
        sa.Column("cancelling", sa.Double),
        sa.Column("finished", sa.Double),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("lease", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_batches_key"),
    )
    op.create_index("ix_batches_status_created", "batches", ["status", "created"])
    op.create_index("ix_batches_key_created", "batches", ["key", "created"])


def downgrade() -> None:
    """Drop them, and everything that was recorded."""
    for name in ("batches", "files", "feedback", "contents", "requests", "keys"):
        op.drop_table(name)
