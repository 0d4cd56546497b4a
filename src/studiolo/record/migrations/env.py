"""What alembic runs to begin: the connection it is given, and the tables to compare with."""

from __future__ import annotations

from alembic import context

from studiolo.record.migrations import VERSION_TABLE
from studiolo.record.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
