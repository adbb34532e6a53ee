"""Fixtures that rooms share."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from .servers import PostgreSQL, RedisServer, run_postgresql, run_redis

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no defect: nothing here is judged by the clock.
settings.register_profile("livegate", deadline=None)
settings.load_profile("livegate")


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Whatever a command sets up for its own logs ends with the test."""
    root, ours = logging.getLogger(), logging.getLogger("livegate")
    kept = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in (root, ours)]
    yield
    for logger, level, propagate, handlers in kept:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of labelled pictures beside the checkout; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("LIVEGATE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "pad_all.tsv").is_file():
        pytest.skip("labelled data (../shared/data) is not on this machine")
    return path


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Portrait that scikit-image's wheel ships (NASA, public domain): uint8 (512, 512, 3), BGR."""
    from pipeline.nets import open_store

    image = cv2.imread(str(open_store().path("sample_astronaut")), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


STORAGES = ("sqlite", "postgresql")
"""Where a test's authority is, if its marker ``storages`` names no others.

The third kind, ``redis``, is PostgreSQL with nonces and counters on Redis.
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "storages(*kinds): run on these storages only, see `storage`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that needs an authority runs once on each storage."""
    if "storage" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("storages")
        metafunc.parametrize("storage", marker.args if marker else STORAGES, indirect=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for this session; skipped where none is installed."""
    with run_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for this session; skipped where none is installed."""
    with run_redis() as server:
        yield server


class Storage:
    """The databases of one test.

    Attributes:
        kind: ``sqlite``, ``postgresql`` or ``redis``.
    """

    def __init__(
        self, kind: str, folder: Path, blank: Path, server: PostgreSQL | None, redis: RedisServer | None
    ) -> None:
        self.kind = kind
        self._folder = folder
        self._blank = blank
        self._server = server
        self._redis = redis
        self._urls: list[str] = []
        self._own: list[str] = []

    def database(self, name: str = "authority") -> str:
        """URL of a migrated database without rows, each call another one; its key is at hand."""
        if self._server is None:
            url = f"sqlite:///{self._folder / name}.db"
            (self._folder / name).parent.mkdir(exist_ok=True)
            shutil.copy2(self._blank / "authority.db", self._folder / f"{name}.db")
            shutil.copy2(self._blank / "authority.key", self._folder / f"{name}.key")
        else:
            url = self._server.url(self._server.swept(len(self._urls)))
        self._urls.append(url)
        return url

    def nothing(self) -> str:
        """URL of a database without tables, or of a SQLite file that is not there yet."""
        if self._server is None:
            return f"sqlite:///{self._folder / 'nothing' / 'authority.db'}"
        self._own.append(self._server.create())
        return self._server.url(self._own[-1])

    def redis_url(self, database: str) -> str | None:
        """The Redis that goes with a database of this test; None where nonces and counters are in it."""
        if self._redis is None:
            return None
        return self._redis.url(self._urls.index(database) if database in self._urls else 15)

    @contextlib.contextmanager
    def redis_client(self, database: str) -> Iterator[Any]:
        """A plain client of the Redis that goes with a database."""
        import redis

        with redis.Redis.from_url(self.redis_url(database)) as client:
            yield client

    def close(self) -> None:
        for name in self._own:
            assert self._server is not None
            self._server.drop(name)


@pytest.fixture(scope="session")
def blank_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a migrated database with its key: copying it is quicker than making it for every test."""
    from pipeline.gateway import open_authority

    folder = tmp_path_factory.mktemp("blank")
    open_authority(f"sqlite:///{folder / 'authority.db'}").store.close()
    return folder


@pytest.fixture
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, blank_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    """The databases of this test, on the storage that it runs on."""
    with make_storage(request, request.param, tmp_path, blank_sqlite, monkeypatch) as made:
        yield made


@contextlib.contextmanager
def make_storage(
    request: pytest.FixtureRequest, kind: str, folder: Path, blank: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    """`storage` for fixtures of another scope."""
    from pipeline.gateway import open_authority
    from pipeline.gateway.vault import KEY_VARIABLE

    server = redis = None
    if kind != "sqlite":
        server = request.getfixturevalue("postgresql")
        monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(bytes(range(32))).decode())
        if server.blank is None:
            name = server.create()
            open_authority(server.url(name)).store.close()
            server.blank = name
    if kind == "redis":
        redis = request.getfixturevalue("redis_server")
        redis.clear()
    made = Storage(kind, folder, blank, server, redis)
    yield made
    made.close()
