"""PostgreSQL in particular: time limits, a bounded pool, connections that break, first starts at once."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

from pipeline.errors import StoreError
from pipeline.gateway import store as module
from pipeline.gateway.schema import Meta
from pipeline.gateway.store import Store, _engine_options, _with_driver

pytestmark = pytest.mark.storages("postgresql")


@pytest.fixture
def open_store(database: str) -> Any:
    opened: list[Store] = []

    def open_(url: str = database) -> Store:
        opened.append(Store(url))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_a_statement_that_takes_too_long_is_an_error(open_store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "STATEMENT_MS", 200)
    with pytest.raises(StoreError), open_store().read() as session:
        session.execute(text("SELECT pg_sleep(30)"))


def test_a_row_that_another_process_holds_too_long_is_an_error(open_store: Any, monkeypatch: Any) -> None:
    holder = open_store()
    monkeypatch.setattr(module, "STATEMENT_MS", 200)
    waiter = open_store()
    with holder.write() as session:
        session.execute(select(Meta).with_for_update())
        with pytest.raises(StoreError), waiter.write() as other:
            other.execute(select(Meta).with_for_update())


def test_a_thread_that_finds_no_free_connection_is_told(open_store: Any, monkeypatch: Any) -> None:
    for name, value in (("POOL_SIZE", 1), ("POOL_OVERFLOW", 0), ("POOL_WAIT_S", 0.2)):
        monkeypatch.setattr(module, name, value)
    store = open_store()
    with store.read() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(StoreError):
            store.ping()
    store.ping()


def test_connections_that_broke_are_replaced(open_store: Any) -> None:
    store, other = open_store(), open_store()
    store.ping()
    with other.read() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database() AND application_name = 'livegate'"
            )
        )
    store.ping()


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "CONNECT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with pytest.raises(StoreError) as caught:
            Store(f"postgresql://somebody:geheim@127.0.0.1:{port}/db")
    assert "geheim" not in str(caught.value)
    assert "somebody" not in str(caught.value)


def test_the_url_s_own_limits_go_first() -> None:
    url = make_url("postgresql+psycopg://h/db?connect_timeout=1&options=-cstatement_timeout%3D7")
    given = _engine_options(url)["connect_args"]
    assert not {"connect_timeout", "options"} & set(given)
    assert given["tcp_user_timeout"] > 0


@pytest.mark.parametrize("name", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_without_a_driver_means_the_one_that_is_installed(name: str) -> None:
    assert _with_driver(make_url(f"{name}://h/db")).drivername == "postgresql+psycopg"


def test_a_migration_may_take_longer_than_a_request(storage: Any, monkeypatch: Any) -> None:
    """The second process waits for the first one's migration under the lock, beyond a request's limits."""
    import threading

    from pipeline.gateway import migrate

    monkeypatch.setattr(module, "STATEMENT_MS", 200)
    url = storage.nothing()
    upgrade, inside = migrate.command.upgrade, threading.Event()
    errors: list[BaseException] = []

    def slow(config: Any, revision: str) -> None:
        config.attributes["connection"].execute(text("SELECT pg_sleep(0.6)"))
        inside.set()
        upgrade(config, revision)

    def start() -> None:
        try:
            Store(url).close()
        except BaseException as error:
            errors.append(error)

    monkeypatch.setattr(migrate.command, "upgrade", slow)
    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert inside.is_set()
