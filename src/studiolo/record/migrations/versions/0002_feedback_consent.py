"""Feedback may correct an answer, and says whether models may learn from it; older may not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("feedback", sa.Column("correction", sa.Text))
    op.add_column(
        "feedback", sa.Column("consent", sa.Boolean, nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Drop them, and what stood there."""
    op.drop_column("feedback", "consent")
    op.drop_column("feedback", "correction")
