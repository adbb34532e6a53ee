"""`AddressBudget`: how many bytes one address may send whose signature was not right."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from pipeline.errors import UsageError

BURST_BYTES: Final = 64 * 1024 * 1024
"""What an address may send at once: a dozen of the largest requests that are read at all."""
BYTES_PER_S: Final = 1024 * 1024
"""What comes back to it in each second."""
ADDRESSES: Final = 10_000
"""Addresses that are remembered; the one that was quiet for longest goes first, with a full budget."""

_V6_PREFIX: Final = 64


class AddressBudget:
    """A bucket of bytes for each address, in the memory of one process. For one thread: the event loop's.

    A request is charged while it comes in, and given back once its signature, time and nonce were right. So
    a customer is never bounded by it, and a stranger can't keep the gateway reading bodies.

    Args:
        burst: size of a bucket, bytes.
        per_second: bytes that flow back.
        trusted_proxies: addresses or networks (``10.1.0.0/24``) of TLS proxies on other hosts. The loopback's
            are trusted always. What anybody else says in ``X-Forwarded-For`` counts for nothing. From a
            proxy the last address of ``X-Forwarded-For`` that is none counts; without one nobody is charged,
            since a proxy's own address stands for everybody.
        clock: seconds, never backwards.

    Raises:
        UsageError: a trusted proxy is no address and no network.
    """

    def __init__(
        self,
        *,
        burst: int = BURST_BYTES,
        per_second: int = BYTES_PER_S,
        trusted_proxies: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        try:
            self._trusted = [ip_network(proxy, strict=False) for proxy in trusted_proxies]
        except ValueError:
            raise UsageError("a trusted proxy is an IP address or a network such as 10.1.0.0/24") from None
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def address_of(self, peer: str | None, headers: Sequence[tuple[str, str]]) -> str | None:
        """Who is charged for a request.

        Args:
            peer: address of the other end of the connection, None where it has none.
            headers: the request's, names in any case.

        Returns:
            An IPv4 address or an IPv6 network of 64 bits; None where nobody is charged.
        """
        if peer is None:
            return None
        told = [value for name, value in headers if name.lower() == "x-forwarded-for"]
        chain = [part.strip() for part in ",".join(told).split(",") if part.strip()]
        for hop in [peer, *reversed(chain)]:
            if not self._is_proxy(hop):
                return _network(hop)
        return None

    def has_left(self, address: str | None) -> bool:
        """False where the bucket is empty: the request is to be refused unread."""
        return address is None or self._level(address) > 0

    def charge(self, address: str | None, size: int) -> None:
        """Take bytes out of the bucket; it may fall below zero by the last piece."""
        if address is not None:
            self._set(address, self._level(address) - size)

    def refund(self, address: str | None, size: int) -> None:
        """Put bytes back: their request was a customer's."""
        if address is not None:
            self._set(address, min(self._level(address) + size, self._burst))

    def _level(self, address: str) -> float:
        level, at = self._spent.get(address, (float(self._burst), self._clock()))
        return min(level + (self._clock() - at) * self._per_second, float(self._burst))

    def _set(self, address: str, level: float) -> None:
        self._spent[address] = (level, self._clock())
        self._spent.move_to_end(address)
        if len(self._spent) > ADDRESSES:
            self._spent.popitem(last=False)

    def _is_proxy(self, hop: str) -> bool:
        try:
            address = ip_address(hop)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self._trusted)

    @property
    def addresses(self) -> int:
        """How many addresses are remembered."""
        return len(self._spent)


def _network(hop: str) -> str:
    """One bucket for a whole IPv6 network: a host there has more addresses than anybody can remember."""
    try:
        address = ip_address(hop)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), _V6_PREFIX), strict=False))
    return str(address)
