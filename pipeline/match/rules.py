"""How long the client waits and how often it tries: plain numbers, without the HTTP library."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one call in seconds.

    Attributes:
        connect: for TCP and TLS.
        read: without a byte of the answer; 8.5 as in the reference's sample.
        write: without progress in sending.
        total: for the call with its retries and pauses; a further try begins only while ``read`` is left.
    """

    connect: float = 3.0
    read: float = 8.5
    write: float = 8.5
    total: float = 20.0

    def __post_init__(self) -> None:
        if not all(0 < value <= 600 for value in (self.connect, self.read, self.write, self.total)):
            raise SettingsError("Timeouts are more than 0 and at most 600 seconds.")


@dataclass(frozen=True, slots=True)
class Retries:
    """Tries of one call. The pause before try n+1 is random between 0 and ``first_pause * 2**(n-1)``.

    Attributes:
        attempts: at most this many, the first one included.
        first_pause: upper bound of the first pause in seconds.
        longest_pause: upper bound of every pause in seconds.
    """

    attempts: int = 3
    first_pause: float = 0.5
    longest_pause: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 10:
            raise SettingsError("A call is tried 1 to 10 times.")
        if not 0 <= self.first_pause <= self.longest_pause <= 60:
            raise SettingsError("Pauses are 0 to 60 seconds, the first no longer than the longest.")
