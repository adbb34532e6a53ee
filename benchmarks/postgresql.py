"""A PostgreSQL for one benchmark or one session of tests, in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "LIVEGATE_BENCH_POSTGRESQL_URL"
USER: Final = "postgres"
_OTHER_PLACES: Final = ("/usr/local/bin", "/usr/local/pgsql/bin")
_STARTS_S: Final = 60
_CARELESS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "64MB",
}


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """URL of an empty database: that of ``LIVEGATE_BENCH_POSTGRESQL_URL``, else one of a new cluster.

    None where there is no PostgreSQL. The variable's database is left as it is at the end.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with cluster() as folder:
        yield None if folder is None else f"postgresql://{USER}@/postgres?host={folder}"


@contextlib.contextmanager
def cluster(*, careless: bool = False) -> Iterator[Path | None]:
    """Start a cluster that listens at a socket in its folder alone, and remove it at the end.

    Args:
        careless: keep nothing safe, which starts, writes and stops faster; else the default settings,
            ``fsync`` and ``synchronous_commit`` on, for whoever measures.

    Yields:
        The folder: ``host`` for a client, with `USER` and no password. None where PostgreSQL's programs, or
        as root the user to run them, are not installed.
    """
    initdb, server = _binary("initdb"), _binary("postgres")
    who = _owner() if initdb and server else None
    if initdb is None or server is None or who is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="livegate-pg-"))
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        make = [initdb, "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(make + ["--no-sync"] * careless, check=True, capture_output=True, cwd=folder, **who)
        options = {"listen_addresses": "", "unix_socket_directories": str(folder)}
        options |= _CARELESS if careless else {}
        with subprocess.Popen(
            [server, "-D", folder / "data", *_flags(options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **who,
        ) as process:
            try:
                _wait(folder, process)
                yield folder
            finally:
                # SIGQUIT stops without a checkpoint
                process.send_signal(signal.SIGQUIT if careless else signal.SIGTERM)
                process.wait(_STARTS_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, Any] | None:
    """How a process is started as another user where this one is root, whom PostgreSQL refuses."""
    if os.getuid() != 0:
        return {}
    import pwd

    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _flags(options: Mapping[str, str]) -> list[str]:
    return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + _STARTS_S
    while True:
        try:
            psycopg.connect(host=str(folder), user=USER, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _binary(name: str) -> str | None:
    """On the path, where Debian keeps it (the newest version), or where it is installed from source."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    others = [path for folder in _OTHER_PLACES if (path := Path(folder) / name).is_file()]
    found = debian[-1:] + others
    return shutil.which(name) or (str(found[0]) if found else None)
