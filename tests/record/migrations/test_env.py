"""The migrations, run one after another, end in the tables that the code believes in."""

from __future__ import annotations

from importlib import resources

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from studiolo.record import migrations
from studiolo.record.database import Database
from studiolo.record.tables import metadata


def test_the_tables_are_those_that_the_code_knows(database: Database) -> None:
    options = {"compare_type": True, "version_table": migrations.VERSION_TABLE}
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            there = {each["name"] for each in inspector.get_indexes(table.name)}
            assert there == {index.name for index in table.indexes}


def test_the_newest_is_the_one_that_is_named_and_they_are_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", "studiolo.record:migrations")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrations.HEAD]
    revisions = [each.revision for each in script.walk_revisions()]
    assert revisions == [f"{i:04}" for i in range(len(revisions), 0, -1)]


def test_the_files_are_in_the_package() -> None:
    folder = resources.files("studiolo.record").joinpath("migrations")
    names = {each.name for each in folder.joinpath("versions").iterdir()}
    assert folder.joinpath("env.py").is_file()
    assert "0001_records.py" in names


def test_they_can_be_undone(database: Database) -> None:
    """Each file's way back is that: used by whoever must, tried here so that it is true."""
    from alembic import command

    with database.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "studiolo.record:migrations")
        command.downgrade(config, "base")
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == [migrations.VERSION_TABLE]
    with database.begin() as connection:
        migrations.upgrade(connection, "it")
        assert migrations.version(connection, "it") == migrations.HEAD
