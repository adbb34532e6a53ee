"""`Store`: the database, opened, migrated and guarded. SQLite with WAL by default, PostgreSQL by URL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from pipeline.errors import StoreError
from pipeline.gateway.migrate import upgrade

BUSY_TIMEOUT_S: Final = 10.0
"""How long SQLite waits for another process's write before the request is answered as unavailable."""

CONNECT_S: Final = 5
"""PostgreSQL: how long a connection may take to come up."""

STATEMENT_MS: Final = 10_000
"""PostgreSQL: how long one statement may run or wait for a lock, and a transaction may idle."""

POOL_SIZE: Final = 5
"""PostgreSQL: connections that stay open in each process. A thread that answers needs one at a time."""

POOL_OVERFLOW: Final = 15
"""PostgreSQL: further ones for a while. ``max_connections`` must allow for the sum in every process."""

POOL_WAIT_S: Final = 10.0
"""PostgreSQL: how long a thread waits for a free connection."""

_WRITE: Final = "livegate_write"
# The host or its network may vanish without a word: libpq then gives up after about 15 seconds.
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class Store:
    """Sessions over one database, each in one transaction. Errors come out as `StoreError`, without values.

    Args:
        url: SQLAlchemy URL. A SQLite file and its folder are made where they are missing, mode 600.

    Raises:
        StoreError: unknown URL or driver, no rights, in-memory SQLite, a schema newer than this program.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = _with_driver(make_url(url))
            self.path = _sqlite_file(parsed)
            if self.path is not None:
                _create_private(self.path)
            # hide_parameters: digests and ciphertext are nobody's business in a log either
            self._engine = create_engine(parsed, hide_parameters=True, **_engine_options(parsed))
        except ImportError:
            raise StoreError(
                "the database's driver is not installed", hint="Install livegate with the extra `scale`."
            ) from None
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(f"the database URL can't be used: {type(error).__name__}") from None
        except OSError as error:
            raise StoreError(f"the database file can't be made: {type(error).__name__}") from None
        if self.path is not None:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        writer = self._engine.execution_options(**{_WRITE: True})
        self._readers = sessionmaker(self._engine, expire_on_commit=False)
        self._writers = sessionmaker(writer, expire_on_commit=False)
        try:
            with _told():
                if self.path is not None:
                    _use_wal(self._engine)
                upgrade(writer)
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def dialect(self) -> str:
        """Name of the database's kind, ``sqlite`` for instance."""
        return self._engine.dialect.name

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading."""
        with _told(), self._readers() as session, session.begin():
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on any exception.

        On SQLite it takes the write lock at once, so a read inside it can't be outdated by another process.

        Raises:
            IntegrityError: a unique value is there already; the caller knows what that means.
            StoreError: everything else.
        """
        with _told(), self._writers() as session, session.begin():
            yield session

    def on_error(self, told: Callable[[], None]) -> None:
        """Call back at every error of the database; a unique value that is there already is none."""

        def listener(context: ExceptionContext) -> None:
            if not isinstance(context.sqlalchemy_exception, IntegrityError):
                told()

        event.listen(self._engine, "handle_error", listener)

    def ping(self) -> None:
        """Ask the database for a one.

        Raises:
            StoreError: it does not answer.
        """
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"Store({self.dialect})"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The library's errors carry statements and the URL: only their kind goes further."""
    try:
        yield
    except IntegrityError:
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError(f"the database can't be used: {type(error).__name__}") from None


def _with_driver(url: URL) -> URL:
    """``postgresql://`` and ``postgres://`` mean the driver that the extra ``scale`` installs."""
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _engine_options(url: URL) -> dict[str, Any]:
    """Pool and time limits; what the URL's own query says goes before them."""
    if url.get_backend_name() == "sqlite":
        return {}
    options: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_size": POOL_SIZE,
        "max_overflow": POOL_OVERFLOW,
        "pool_timeout": POOL_WAIT_S,
    }
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        arguments = {
            "connect_timeout": CONNECT_S,
            "options": " ".join(f"-c {name}={STATEMENT_MS}" for name in limits),
            "application_name": "livegate",
            **_KEEPALIVE,
        }
        options["connect_args"] = {name: value for name, value in arguments.items() if name not in url.query}
    return options


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    name = url.database or ""
    if name in ("", ":memory:") or name.startswith("file:"):
        raise StoreError(
            "an in-memory SQLite database can't be shared between threads and processes",
            hint="Give a file: sqlite:///authority.db",
        )
    return Path(name).absolute()


def _create_private(path: Path) -> None:
    """SQLite gives its journal files the mode of the database file, so that file is made here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is replaced by _begin_sqlite
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Writers lock first: a transaction that reads and then wants to write can fail without a wait."""
    write = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Switch to WAL. SQLite does not wait for its own lock here: two first starts at once need the retry."""
    retry = Retrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_delay(BUSY_TIMEOUT_S),
        wait=wait_random(0.01, 0.05),
        reraise=True,
    )
    for attempt in retry:
        with attempt, contextlib.closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")


def _is_busy(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )
