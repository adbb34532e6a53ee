"""The server side of the face_verify protocol over an embedded authority."""

from pipeline.gateway.access import AccessKeys, KeyGrant
from pipeline.gateway.app import make_app
from pipeline.gateway.attesting import AttestationRules
from pipeline.gateway.audit import AuditReport, verify_audit
from pipeline.gateway.authority import Authority, Identity
from pipeline.gateway.core import Gateway
from pipeline.gateway.counters import Counters
from pipeline.gateway.devices import DeviceRules
from pipeline.gateway.enrolment import Duplicates, EnrolledRow, EnrollReport, enroll
from pipeline.gateway.faces import Embedder, FaceReading, NetEmbedder
from pipeline.gateway.inprocess import IN_PROCESS_URL, InProcessTransport
from pipeline.gateway.opening import (
    Embedded,
    embedded,
    ensure_access_key,
    imported_key,
    open_authority,
    open_gateway,
)
from pipeline.gateway.options import GatewayOptions
from pipeline.gateway.risk import NO_LOCKS, FailureWindow, Risk, RiskPolicy
from pipeline.gateway.scoring import score_of
from pipeline.gateway.search import FaceIndex, Likeness
from pipeline.gateway.server import ServeOptions, running, serve
from pipeline.gateway.shared import Shared, open_shared
from pipeline.gateway.terms import KeyRecord, KeyTerms, Quota
from pipeline.gateway.wire import RawAnswer, RawRequest

__all__ = [
    "IN_PROCESS_URL",
    "NO_LOCKS",
    "AccessKeys",
    "AttestationRules",
    "AuditReport",
    "Authority",
    "Counters",
    "DeviceRules",
    "Duplicates",
    "Embedded",
    "Embedder",
    "EnrollReport",
    "EnrolledRow",
    "FaceIndex",
    "FaceReading",
    "FailureWindow",
    "Gateway",
    "GatewayOptions",
    "Identity",
    "InProcessTransport",
    "KeyGrant",
    "KeyRecord",
    "KeyTerms",
    "Likeness",
    "NetEmbedder",
    "Quota",
    "RawAnswer",
    "RawRequest",
    "Risk",
    "RiskPolicy",
    "ServeOptions",
    "Shared",
    "embedded",
    "enroll",
    "ensure_access_key",
    "imported_key",
    "make_app",
    "open_authority",
    "open_gateway",
    "open_shared",
    "running",
    "score_of",
    "serve",
    "verify_audit",
]
