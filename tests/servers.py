"""Throw-away servers for the tests: PostgreSQL on a socket of its own, Redis on a free loopback port.

Both run on nothing but a temporary folder, for as long as one test session, and are skipped where their
binaries are not installed.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
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

from benchmarks.postgresql import USER, cluster

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
    with cluster(careless=True) as folder:
        if folder is None:
            pytest.skip(POSTGRESQL_HINT)
        started = PostgreSQL(folder, USER)
        try:
            yield started
        finally:
            started.close()


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
            started = _wait(port, process)
            try:
                yield started
            finally:
                started.close()
        finally:
            process.kill()
            process.wait(STARTS_S)


def _wait(port: int, process: subprocess.Popen[bytes]) -> RedisServer:
    import redis

    ends = time.monotonic() + STARTS_S
    while True:
        try:
            return RedisServer(port)
        except redis.ConnectionError:
            if process.poll() is not None or time.monotonic() > ends:
                raise
            time.sleep(0.05)
