"""Attestations of devices: which installation a session belongs to, and whether a ``match`` comes from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.errors import ServiceError, UsageError
from pipeline.gateway.fields import wrong
from pipeline.gateway.keeping import Arrival
from pipeline.gateway.sessions import SessionState
from pipeline.gateway.vault import Vault
from pipeline.protocol.attestation import Attestation, InstallKey, open_attestation, read_token
from pipeline.protocol.codes import DETAILED_CODES, UnifiedCode

MISSING: Final = "Z5102"
MALFORMED: Final = "Z5101"
UNTRUE: Final = "Z5103"
FOREIGN: Final = "Z1108"
"""Detailed codes; `pipeline.gateway.causes` tells them apart."""


@dataclass(frozen=True, slots=True)
class AttestationRules:
    """What is asked of devices.

    Attributes:
        required: every ``init`` has to name an installation, and every ``match`` to be attested. Where it is
            False, that holds for the sessions alone whose ``init`` named one.
        test_sources: let frames through that no trusted camera took, a file's for instance.
        lifetime_s: how far the device's clock may be from the gateway's, either way, seconds.
    """

    required: bool = False
    test_sources: bool = False
    lifetime_s: int = 300

    def __post_init__(self) -> None:
        if not 1 <= self.lifetime_s <= 3600:
            raise UsageError("an attestation holds for 1 to 3600 seconds")


@dataclass(frozen=True, slots=True)
class Attested:
    """An attestation whose signature is right, and the digest of the installation that signed it."""

    said: Attestation
    digest: str


class Attesting:
    """Checks attestations.

    Args:
        vault: digests installations; neither id nor key is stored.
        rules: what is asked.
    """

    def __init__(self, vault: Vault, rules: AttestationRules | None = None) -> None:
        self._vault = vault
        self._rules = rules or AttestationRules()

    def installation_of(self, meta: Mapping[str, Any]) -> str | None:
        """Digest of the installation that ``metainfo`` names, for the session that ``init`` opens.

        Raises:
            ServiceError: one is required and none is named (Z5102).
        """
        token = meta.get("apdidToken")
        install = read_token(token) if isinstance(token, str) else None
        if install is None:
            if self._rules.required:
                raise wrong("metainfo不合法", MISSING)
            return None
        return self._digest(install)

    def read(self, arrival: Arrival | None) -> Attested | None:
        """The attestation that came with a ``match``.

        Raises:
            ServiceError: one is required and missing (Z5102), or it is broken or wrongly signed (Z5101).
        """
        texts = () if arrival is None else arrival.attestations
        if not texts:
            if self._rules.required:
                raise _refused(MISSING)
            return None
        found = open_attestation(texts[0]) if len(texts) == 1 else None
        if found is None:
            raise _refused(MALFORMED)
        return Attested(found[0], self._digest(found[1]))

    def check(
        self,
        attested: Attested | None,
        session: SessionState | None,
        query_id: str | None,
        picture: bytes,
        *,
        now: float,
    ) -> None:
        """See that an attestation belongs to the session and the picture that a ``match`` names.

        Args:
            attested: what `read` found.
            session: the running session, or None where it is none.
            query_id: ``queryId`` as named, or None.
            picture: the picture file.
            now: seconds since 1970.

        Raises:
            ServiceError: the session wants an attestation and there is none (Z5102); it says another session
                or picture, or comes late (Z5103); another installation signed it, or no trusted camera took
                the frame (Z1108); the session is unknown, another key's, or finished (Z8101).
        """
        if attested is None:
            if session is not None and session.install_digest is not None:
                raise _refused(MISSING)
            return
        said = attested.said
        if said.query_id != query_id or said.picture_sha256 != hashlib.sha256(picture).hexdigest():
            raise _refused(UNTRUE)
        if abs(now - said.at) > self._rules.lifetime_s:
            raise _refused(UNTRUE)
        if session is None:
            raise wrong("queryId不合法")
        if attested.digest != session.install_digest:
            raise _refused(FOREIGN)
        if not (said.camera.trusted or self._rules.test_sources):
            raise _refused(FOREIGN)

    def _digest(self, install: InstallKey) -> str:
        return self._vault.digest("installation", install.device_id, install.key.hex())


def _refused(sub_code: str) -> ServiceError:
    if sub_code == FOREIGN:
        sentence = DETAILED_CODES[sub_code].message
        return ServiceError(sentence, service_code=UnifiedCode.BAD_PARAMETERS, sub_code=sub_code)
    return wrong("attestation不合法", sub_code)
