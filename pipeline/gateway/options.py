"""`GatewayOptions`: how a gateway answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.errors import UsageError
from pipeline.gateway.attesting import AttestationRules
from pipeline.gateway.authority import Authority
from pipeline.gateway.devices import DeviceRules
from pipeline.gateway.keeping import EvidenceSink
from pipeline.gateway.picture import PictureLimits
from pipeline.gateway.returning import LONGEST_S
from pipeline.gateway.risk import RiskPolicy
from pipeline.gateway.service import PASS_SCORE
from pipeline.gateway.terms import Quota
from pipeline.gateway.wire import Limits
from pipeline.protocol.cert_number import CertCheck


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How the gateway answers.

    Attributes:
        detailed_codes: also give ``resultCode``, ``resultCodeSub`` and ``resultMsgSub`` in ``Data``, where
            the cause has a row in the reference's tables.
        cert_check: what a certificate number that fails GB 11643 leads to.
        pictures: what is taken as a picture.
        limits: sizes of a request.
        host_id: ``HostId`` of the gateway's errors.
        evidence: makes the sink that live pictures go to, see `pipeline.evidence.sealed_evidence`; None keeps
            none.
        quota: requests of each access key that has no limit of its own; more are answered with 402.
        whole_quota: requests of all keys together; more are answered with ``Throttling.User``.
        risk: when failures lock a person, a device or a key.
        devices: which devices may begin a verification.
        pass_score: score from which a session passes, 0..100.
        suspended: True while nobody can be verified.
        audit: keep the audit log.
        attestation: what devices have to attest.
        return_image_s: how long the picture of a passed session is kept for ``query`` to give back, seconds;
            0 keeps none. Not together with ``evidence``, which promises that nobody here can read a picture.
        redis_url: Redis for nonces and counters, see `pipeline.gateway.shared`; None for the database.

    Raises:
        UsageError: ``return_image_s`` is out of range, or set beside ``evidence``.
    """

    detailed_codes: bool = False
    cert_check: CertCheck = CertCheck.WARN
    pictures: PictureLimits = field(default_factory=PictureLimits)
    limits: Limits = field(default_factory=Limits)
    host_id: str = "livegate"
    evidence: Callable[[Authority], EvidenceSink] | None = None
    quota: Quota = field(default_factory=Quota)
    whole_quota: Quota = field(default_factory=Quota)
    risk: RiskPolicy = field(default_factory=RiskPolicy)
    devices: DeviceRules = field(default_factory=DeviceRules)
    pass_score: float = PASS_SCORE
    suspended: bool = False
    audit: bool = True
    redis_url: str | None = field(default=None, repr=False)
    attestation: AttestationRules = field(default_factory=AttestationRules)
    return_image_s: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.return_image_s <= LONGEST_S:
            raise UsageError(f"a picture to be given back is kept for at most {LONGEST_S} seconds")
        if self.return_image_s and self.evidence is not None:
            raise UsageError("a picture is either sealed as evidence or given back by query, never both")
