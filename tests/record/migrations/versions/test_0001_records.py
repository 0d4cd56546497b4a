"""A published migration never changes: databases out there were made by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from studiolo.record.database import Database

COLUMNS = {
    "keys": "budget budget_per created digest expires id models name owner requests_per_minute "
    "revoked scopes tokens_per_minute",
    "requests": "cached_tokens completion_tokens cost day dialect endpoint error finish_reason id "
    "joules key model prompt_tokens seconds seconds_to_first started status user weights",
    "contents": "created expires key output prompt receipt request user",
    "feedback": "comment created key rating request",
    "files": "bytes created expires filename id key purpose",
    "batches": "cancelling completed created endpoint error error_file expires failed finalizing "
    "finished id input_file key lease metadata output_file started status total worker",
    "studiolo_version": "version_num",
}
"""As they were published. A change belongs into a new file."""


def test_it_makes_these_columns(database: Database) -> None:
    with database.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "studiolo.record:migrations")
        command.downgrade(config, "0001")
        inspector = sa.inspect(connection)
        made = {
            table: " ".join(sorted(each["name"] for each in inspector.get_columns(table)))
            for table in inspector.get_table_names()
        }
    assert made == COLUMNS
