"""Throw-away servers for the tests: PostgreSQL on a socket of its own, Redis on a free loopback port.

Both run on nothing but a temporary folder, for as long as one test session, and are skipped where their
binaries are not installed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL

STARTS_S = 60
POSTGRESQL_HINT = "no PostgreSQL on this machine: install the package postgresql"
REDIS_HINT = "no Redis on this machine: install the package redis-server"
ROW_TABLES = "audit, audit_head, counters, evidence, nonces, sessions, templates, persons, access_keys"


class PostgreSQL:
    """A server, its databases, and those among them that tests share one after another."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self.user = user
        self.numbers = itertools.count()
        self.admin = self.connect("postgres")
        self.shared: list[tuple[str, psycopg.Connection[Any]]] = []
        self.blank: str | None = None

    def connect(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), user=self.user, dbname=name, autocommit=True)

    def url(self, name: str) -> str:
        query = {"host": str(self.folder)}
        made = URL.create("postgresql", self.user, database=name, query=query)
        return made.render_as_string(hide_password=False)

    def create(self, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"test_{next(self.numbers)}"
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def swept(self, index: int) -> str:
        """The name of a copy of the blank database, without a row of an earlier test."""
        assert self.blank is not None
        while len(self.shared) <= index:
            name = self.create(self.blank)
            self.shared.append((name, self.connect(name)))
        name, connection = self.shared[index]
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        rows = "; ".join(f"DELETE FROM {table}" for table in ROW_TABLES.split(", "))
        connection.execute(f"{rows}; DELETE FROM meta WHERE name <> 'key_fingerprint'".encode())
        return name

    def close(self) -> None:
        for _, connection in self.shared:
            connection.close()
        self.admin.close()


@contextlib.contextmanager
def run_postgresql() -> Iterator[PostgreSQL]:
    """Start a cluster that keeps nothing safe, on a socket in its own folder."""
    initdb, server = _binary("initdb"), _binary("postgres")
    if not (initdb and server):
        pytest.skip(POSTGRESQL_HINT)
    who: dict[str, Any] = {}
    user = "postgres"
    folder = Path(tempfile.mkdtemp(prefix="livegate-pg-"))
    try:
        if os.getuid() == 0:  # the server refuses to run as root
            import pwd

            try:
                entry = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip(POSTGRESQL_HINT)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            **who,
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "max_wal_senders": "0",
            "wal_level": "minimal",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "-D", data, *settings], stdout=log, stderr=log, cwd=folder, **who
            )
        try:
            started = _wait(lambda: PostgreSQL(folder, user), process, (psycopg.OperationalError,))
            try:
                yield started
            finally:
                started.close()
        finally:
            process.send_signal(signal.SIGQUIT)  # stop at once: nothing is worth a checkpoint
            process.wait(STARTS_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class RedisServer:
    """A server whose numbered databases go with the databases of a test."""

    def __init__(self, port: int) -> None:
        import redis

        self.port = port
        self.client = redis.Redis(port=port, socket_timeout=10)
        self.client.ping()

    def url(self, number: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    def clear(self) -> None:
        self.client.flushall()

    def close(self) -> None:
        self.client.close()


@contextlib.contextmanager
def run_redis() -> Iterator[RedisServer]:
    """Start a Redis that keeps nothing."""
    import redis

    server = shutil.which("redis-server")
    if not server:
        pytest.skip(REDIS_HINT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="livegate-redis-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            [server, *options, "--dir", folder, "--daemonize", "no"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            started = _wait(lambda: RedisServer(port), process, (redis.ConnectionError,))
            try:
                yield started
            finally:
                started.close()
        finally:
            process.kill()
            process.wait(STARTS_S)


def _wait(connect: Any, process: subprocess.Popen[bytes], not_yet: tuple[type[Exception], ...]) -> Any:
    ends = time.monotonic() + STARTS_S
    while True:
        try:
            return connect()
        except not_yet:
            if process.poll() is not None or time.monotonic() > ends:
                raise
            time.sleep(0.05)


def _binary(name: str) -> str | None:
    """On the path, or where Debian keeps it; the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return shutil.which(name) or (str(found[-1]) if found else None)
