"""How the consent reference of a ``match`` travels: beside the request, not in it (docs/adr/0006)."""

from __future__ import annotations

from typing import Final

CONSENT_HEADER: Final = "x-livegate-consent"
"""HTTP header with the percent-encoded consent reference of a ``match``; header names know no case."""
MAX_CONSENT: Final = 256
"""Most characters of a consent reference."""
