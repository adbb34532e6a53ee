"""A PostgreSQL for one benchmark: that of ``LIVEGATE_BENCH_POSTGRESQL_URL``, or a cluster in a new folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "LIVEGATE_BENCH_POSTGRESQL_URL"
_PLACES: Final = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/local/pgsql/bin")


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """URL of an empty database, or None where there is no PostgreSQL.

    A cluster that is started here has default settings (``fsync`` and ``synchronous_commit`` on), listens at
    a socket in its folder alone, and is removed at the end. The variable's database is left as it is then.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="livegate-pg-"))
    who: dict[str, Any] = {}
    try:
        if os.getuid() == 0:  # it refuses to run as root
            entry = pwd.getpwnam("postgres")
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        make = [initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **who)
        run = [server, "-D", folder / "data", "-c", "listen_addresses=", "-k", folder]
        with subprocess.Popen(
            run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who
        ) as process:
            try:
                _wait(folder, process)
                yield f"postgresql://postgres@/postgres?host={folder}"
            finally:
                process.terminate()
                process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _binary(name: str) -> str | None:
    found = shutil.which(name)
    folders = [folder for place in _PLACES for folder in Path("/").glob(place.lstrip("/"))]
    return found or next((str(folder / name) for folder in folders if (folder / name).is_file()), None)
