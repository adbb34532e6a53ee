"""What an access key may do: `KeyTerms`, and how much: `Quota`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pipeline.errors import UsageError

METHODS: Final = ("init", "query", "match")
"""The service's methods, in the reference's order: the scopes of a key."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests that are let through; None where there is no limit.

    Attributes:
        per_second: in each calendar second.
        per_day: in each day, UTC.
    """

    per_second: int | None = None
    per_day: int | None = None

    def __post_init__(self) -> None:
        for value in (self.per_second, self.per_day):
            if value is not None and not 0 <= value < 2**31:
                raise UsageError("a quota is a whole number, 0 or more")

    def over(self, default: Quota) -> Quota:
        """This quota, with the default's limits where it has none of its own."""
        return Quota(
            default.per_second if self.per_second is None else self.per_second,
            default.per_day if self.per_day is None else self.per_day,
        )


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """Terms of an access key and of every key of its line of rotations.

    Attributes:
        methods: methods that it may call.
        ends_at: seconds since 1970 when the product closes for it, or None.
        quota: its own limits; the gateway's hold where it has none.
    """

    methods: frozenset[str] = frozenset(METHODS)
    ends_at: int | None = None
    quota: Quota = field(default_factory=Quota)

    def __post_init__(self) -> None:
        if not self.methods or not self.methods <= set(METHODS):
            raise UsageError(f"a key's methods are one or more of {', '.join(METHODS)}")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An access key without its secret.

    Attributes:
        key_id: its id.
        owner: id of the first key of its line of rotations, its own for that one. Quota, failures and
            sessions belong to the line, so a rotation changes none of them.
        terms: what it may do.
        created_at: seconds since 1970.
        revoked_at: when it ends or ended; None where it does not.
    """

    key_id: str
    owner: str
    terms: KeyTerms
    created_at: int
    revoked_at: int | None

    def is_valid(self, now: float) -> bool:
        """False once it was revoked, or its overlap with the key that followed it is over."""
        return self.revoked_at is None or now < self.revoked_at

    def is_open(self, now: float) -> bool:
        """False once the product is closed for it."""
        return self.terms.ends_at is None or now < self.terms.ends_at

    def may(self, method: str) -> bool:
        """True where the method is in its scopes."""
        return method in self.terms.methods
