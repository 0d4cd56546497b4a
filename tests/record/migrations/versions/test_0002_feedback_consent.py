"""A rating from before consent was asked for has none, and is otherwise as it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from studiolo.record.database import Database
from studiolo.record.feedback import Feedback, Rating

COLUMNS = "comment consent correction created key rating request"
"""Of the table, as they were published. A change belongs into a new file."""


def test_an_older_rating_comes_through_without_consent(database: Database) -> None:
    with database.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "studiolo.record:migrations")
        command.downgrade(config, "0001")
        insert = "INSERT INTO feedback (request, rating, comment, created) VALUES ('r', 1, 'c', 9)"
        connection.execute(sa.text(insert))
        command.upgrade(config, "0002")
        columns = sa.inspect(connection).get_columns("feedback")
        assert " ".join(sorted(each["name"] for each in columns)) == COLUMNS
    kept = Feedback(database).list(None)
    assert kept == (Rating("r", None, 1.0, "c", None, False, 9.0),)
