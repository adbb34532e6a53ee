"""Too many failures of a person, a device or a key: a lock for a while (刷脸失败次数过多).

An attempt is counted before it is judged and given back when it did not fail. So of any number of attempts
at once no more can fail than the limit allows, and a process that dies in between leaves a failure behind.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.errors import StoreError, UsageError
from pipeline.gateway.counters import Counters, Limit, Place
from pipeline.gateway.vault import Vault
from pipeline.protocol.cert_number import normalize_cert_number

log = logging.getLogger("livegate.gateway")

_DAY_S: Final = 24 * 3600
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class FailureWindow:
    """So many failures within a time lead to a lock.

    Attributes:
        most: failures that are let happen.
        within_s: length of the window, seconds; it begins with the first failure.
        lock_s: length of the lock, seconds; it begins with the last failure that was let happen.
    """

    most: int
    within_s: int
    lock_s: int

    def __post_init__(self) -> None:
        if min(self.most, self.within_s, self.lock_s) < 1:
            raise UsageError("a window of failures needs a limit and two times of 1 or more")


@dataclass(frozen=True, slots=True)
class RiskPolicy:
    """When to lock. None switches a kind of lock off. The numbers are ours: the reference gives none.

    Attributes:
        person: failures against one certificate number, enrolled or not: 10 in a day. With independent
            tries and the false-reject rate measured at a score of 95 (7.25 %), a person who tries 20 times a
            day is locked on 4 days in 10 million (binomial tail); with a bad picture enrolled, at once.
        device: failures of one device, as ``metainfo`` names it: 30 in a day.
        key: failures of one access key: 1,000 in an hour, then locked for 10 minutes. A key stands for a
            customer with many people, so this lock is for a credential that leaked.
    """

    person: FailureWindow | None = FailureWindow(10, _DAY_S, _DAY_S)
    device: FailureWindow | None = FailureWindow(30, _DAY_S, _DAY_S)
    key: FailureWindow | None = FailureWindow(1000, _HOUR_S, 600)


NO_LOCKS: Final = RiskPolicy(None, None, None)
"""Locks nobody."""


class Attempt:
    """One attempt that is being judged. It counts as a failure once `fail` was called."""

    __slots__ = ("failed",)

    def __init__(self) -> None:
        self.failed = False

    def fail(self) -> None:
        """The identity does not exist or the faces differ."""
        self.failed = True


class Risk:
    """Failures by person, device and key, for all processes of a database together.

    Args:
        counters: where they are counted.
        vault: digests who is counted; neither number nor device is stored.
        policy: when to lock.
    """

    def __init__(self, counters: Counters, vault: Vault, policy: RiskPolicy | None = None) -> None:
        self._counters = counters
        self._vault = vault
        self._policy = policy or RiskPolicy()

    @contextlib.contextmanager
    def attempt(
        self, *, cert_number: str, device: str | None, owner: str, now: float
    ) -> Iterator[Attempt | None]:
        """Let one attempt be judged inside the block.

        Args:
            cert_number: certificate number as claimed.
            device: digest of `device_digest`, or None where no device was named.
            owner: the access key's line.
            now: seconds since 1970.

        Yields:
            The attempt, or None where person, device or key is locked.

        Raises:
            StoreError: it can't be counted; nothing may be judged.
        """
        names = {
            "person": (self._person(cert_number), self._policy.person),
            "device": (device and self._device(device), self._policy.device),
            "key": (self._key(owner), self._policy.key),
        }
        wanted = [
            (Limit(name, window.most, int(now) + window.within_s), window)
            for name, window in names.values()
            if name is not None and window is not None
        ]
        windows = {limit.name: window for limit, window in wanted}
        places = self._counters.take([limit for limit, _ in wanted], now=now)
        if places is None:
            yield None
            return
        attempt = Attempt()
        try:
            yield attempt
        finally:
            self._settle(attempt, places, windows, int(now))

    def device_digest(self, model: str, token: str) -> str:
        """Keyed digest of a device: its model and the token of its fingerprint."""
        return self._vault.digest("device", model, token)

    def person_digest(self, cert_number: str) -> str:
        """Keyed digest of a person for the audit log."""
        return self._vault.digest("audited person", normalize_cert_number(cert_number))

    def unlock_person(self, cert_number: str) -> bool:
        """Forget the failures against a certificate number.

        Returns:
            False where there were none.
        """
        return self._counters.clear(self._person(cert_number))

    def unlock_device(self, model: str, token: str) -> bool:
        """Forget the failures of a device; False where there were none."""
        return self._counters.clear(self._device(self.device_digest(model, token)))

    def unlock_key(self, owner: str) -> bool:
        """Forget the failures of a key's line; False where there were none."""
        return self._counters.clear(self._key(owner))

    def _settle(
        self, attempt: Attempt, places: list[Place], windows: dict[str, FailureWindow], now: int
    ) -> None:
        try:
            if not attempt.failed:
                self._counters.release(places)
                return
            for place in places:
                self._counters.hold([place], now + windows[place.limit.name].lock_s)
        except StoreError as error:
            # It stays counted, which is the safe side; the answer is right all the same.
            log.warning("an attempt could not be settled: %s", error.message)

    def _person(self, cert_number: str) -> str:
        return self._vault.digest("failures of a person", normalize_cert_number(cert_number))

    def _device(self, digest: str) -> str:
        return self._vault.digest("failures of a device", digest)

    def _key(self, owner: str) -> str:
        return self._vault.digest("failures of a key", owner)
