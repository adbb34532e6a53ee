"""`Readiness`: may requests be sent to this process? Checks by name, without a reason: anybody may ask."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipeline.errors import StoreError
from pipeline.gateway.core import Gateway
from pipeline.gateway.migrate import config
from pipeline.gateway.operation.logs import fault
from pipeline.gateway.store import Store

log = logging.getLogger("livegate.gateway")

FRESH_S: Final = 1.0
"""How long a result is given again: anybody may ask, and every check asks the database."""

Check = Callable[[], object]
"""Raises where something is not as it must be."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks found.

    Attributes:
        ready: True where all hold.
        checks: True or False by name.
    """

    ready: bool
    checks: Mapping[str, bool]

    def as_dict(self) -> dict[str, object]:
        """For JSON: ``{"ready": true, "checks": {"database": "ok", ...}}``."""
        return {
            "ready": self.ready,
            "checks": {name: "ok" if holds else "failed" for name, holds in self.checks.items()},
        }


class Readiness:
    """Runs the checks of a gateway. Safe to share between threads; one of them checks at a time.

    The checks: ``database`` answers, its ``migrations`` are this program's, the authority's ``key`` belongs
    to it, the ``nets`` are loaded or can be, ``redis`` answers where it is used, and ``accepting``: no stop
    was asked for.

    Args:
        gateway: what is checked.
        clock: seconds, never backwards.
    """

    def __init__(self, gateway: Gateway, *, clock: Callable[[], float] = time.monotonic) -> None:
        authority = gateway.authority
        self._checks: dict[str, Check] = {
            "database": authority.store.ping,
            "migrations": lambda: check_migrations(authority.store),
            "key": authority.check_key,
            "nets": lambda: gateway.embedder.model,
        }
        if gateway.shared.kind == "redis":
            self._checks["redis"] = gateway.shared.ping
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = False  # a plain word: it is set inside a signal handler, where no lock may be taken
        self._last: tuple[float, dict[str, bool]] | None = None

    @property
    def stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stopping

    def stop(self) -> None:
        """From now on not ready, whatever the checks say."""
        self._stopping = True

    def report(self) -> Report:
        """Run the checks, or give what they found within the last `FRESH_S` seconds."""
        with self._lock:
            if self._last is None or self._clock() - self._last[0] >= FRESH_S:
                found = {name: _holds(name, check) for name, check in self._checks.items()}
                self._last = (self._clock(), found)
            checks = self._last[1] | {"accepting": not self.stopping}
        return Report(all(checks.values()), checks)


def check_migrations(store: Store) -> None:
    """See that the schema is this program's newest one.

    Raises:
        StoreError: it is older or newer, or can't be read.
    """
    head = ScriptDirectory.from_config(config()).get_current_head()
    with store.read() as session:
        current = MigrationContext.configure(session.connection()).get_current_revision()
    if current != head:
        raise StoreError("the database's schema is not this program's")


def _holds(name: str, check: Check) -> bool:
    try:
        check()
    except Exception as error:
        log.warning("not ready: %s", fault(error), extra={"check": name})
        return False
    return True
