"""The schema, brought up to date by Alembic when a store is opened; safe for processes that start at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from pipeline.errors import StoreError

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_PATIENCE_S: Final = 300
_LOCK: Final = 0x6C697665  # any constant that other programs on the same database are unlikely to take


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file; ``connection`` is what `migrations/env.py` runs on."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction where the database can.

    The first one in holds a lock: on SQLite the write lock (the engine begins with BEGIN IMMEDIATE), on
    PostgreSQL an advisory lock, on MySQL and MariaDB a named lock. Others rely on their own DDL locks.

    Raises:
        StoreError: the database was written by a newer version of this program.
    """
    with engine.begin() as connection:
        _lock(connection)
        known = ScriptDirectory.from_config(config())
        current = MigrationContext.configure(connection).get_current_revision()
        if current == known.get_current_head():
            return
        try:
            if current is not None:
                known.get_revision(current)
            command.upgrade(config(connection), "head")
        except CommandError:
            raise StoreError(
                "the database was written by a newer version", hint="Install the newer livegate."
            ) from None


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A migration of a large table, or the wait for another process's, may outlast a request's limits.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    elif connection.dialect.name in ("mysql", "mariadb"):
        connection.execute(text("SELECT GET_LOCK('livegate_migrations', 60)"))
