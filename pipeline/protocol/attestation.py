"""What a device says of a verification that it carried out, signed with the key of its installation.

An attestation is a JSON Web Signature in compact form (RFC 7515) with Ed25519 (RFC 8037). Its header is
always the same but for the public key, so there is no algorithm to choose and none to confuse. It travels
with a ``match`` in a header of its own, which a service that does not know it takes no notice of.

The public key reaches the gateway before that: ``init`` names it in ``metainfo``, as ``apdidToken``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ATTESTATION_HEADER: Final = "x-livegate-attestation"
"""HTTP header with the attestation of a ``match``; header names know no case."""
MAX_ATTESTATION: Final = 4096
"""Most characters of an attestation; an honest one has about 900."""

_TYPE: Final = "livegate-attestation"
_TOKEN: Final = re.compile(r"lg1\.([0-9a-f]{32})\.([A-Za-z0-9_-]{43})", re.ASCII)
_HEX_32: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HEX_64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WORD: Final = re.compile(r"[ -~]{0,64}", re.ASCII)
_MAX_TIME: Final = 2**40


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera that the judged frame came from.

    Attributes:
        id: keyed digest of its identity, 32 hex digits; stable for one camera of one installation.
        kind: what the source is, ``device`` or ``network`` for instance.
        bus: what a device hangs on, ``usb`` for instance, or empty.
        model: USB or PCI numbers of vendor and product, ``046d:0825``, or empty.
        trusted: True for a physical camera, or one that the operator named.
    """

    id: str
    kind: str
    bus: str
    model: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a device says of one verification.

    Attributes:
        query_id: ``queryId`` of the session, random and good for one result: so it is the nonce too.
        device_id: id of the installation, 32 hex digits.
        app: name of the program.
        app_version: its version.
        sdk_version: version of livegate on the device.
        at: when it was signed, seconds since 1970 by the device's clock.
        frame_sha256: digest of the judged frame's pixels, 64 hex digits.
        picture_sha256: SHA-256 of the picture file that is sent, 64 hex digits.
        camera: where the frame came from.
    """

    query_id: str
    device_id: str
    app: str
    app_version: str
    sdk_version: str
    at: int
    frame_sha256: str
    picture_sha256: str
    camera: Camera


@dataclass(frozen=True, slots=True)
class InstallKey:
    """The public side of an installation.

    Attributes:
        device_id: 32 hex digits.
        key: raw Ed25519 public key, 32 bytes.
    """

    device_id: str
    key: bytes

    @property
    def token(self) -> str:
        """``apdidToken`` of ``metainfo``: ``lg1``, device id and key, parted by dots."""
        return f"lg1.{self.device_id}.{_to_text(self.key)}"


def read_token(text: str) -> InstallKey | None:
    """The installation that an ``apdidToken`` names; None where it is another SDK's, or broken."""
    found = _TOKEN.fullmatch(text)
    key = None if found is None else _to_bytes(found[2])
    if found is None or key is None or len(key) != 32:
        return None
    return InstallKey(found[1], key)


def sign_attestation(attestation: Attestation, key: Ed25519PrivateKey) -> str:
    """Write and sign an attestation.

    Args:
        attestation: what to say.
        key: the installation's key.

    Returns:
        JWS compact serialisation, ASCII.
    """
    header = _header(key.public_key().public_bytes_raw())
    signed = f"{_to_text(header)}.{_to_text(_json(asdict(attestation)))}"
    return f"{signed}.{_to_text(key.sign(signed.encode('ascii')))}"


def open_attestation(text: str) -> tuple[Attestation, InstallKey] | None:
    """Read an attestation and check that the key it names signed it.

    That proves nothing by itself: the caller has to know the key.

    Args:
        text: as received, any text.

    Returns:
        What it says and who signed it; None where it is broken, of another kind, or wrongly signed.
    """
    parts = text.split(".")
    if len(text) > MAX_ATTESTATION or len(parts) != 3:
        return None
    header, payload, signature = map(_to_bytes, parts)
    if header is None or payload is None or signature is None:
        return None
    key = _key_of(header)
    attestation = _read(payload)
    if key is None or attestation is None:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, f"{parts[0]}.{parts[1]}".encode("ascii"))
    except (InvalidSignature, ValueError):
        return None
    return attestation, InstallKey(attestation.device_id, key)


def _header(key: bytes) -> bytes:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _to_text(key)}
    return _json({"alg": "EdDSA", "typ": _TYPE, "jwk": jwk})


def _key_of(header: bytes) -> bytes | None:
    """The public key of a header that is the one form byte for byte."""
    try:
        text = json.loads(header)["jwk"]["x"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    key = _to_bytes(text) if isinstance(text, str) else None
    return key if key is not None and len(key) == 32 and header == _header(key) else None


def _read(payload: bytes) -> Attestation | None:
    try:
        fields = json.loads(payload)
        camera = Camera(**fields.pop("camera"))
        found = Attestation(**fields, camera=camera)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    ids = (found.query_id, found.device_id, camera.id)
    words = (found.app, found.app_version, found.sdk_version, camera.kind, camera.bus, camera.model)
    right = (
        all(_is(_HEX_32, value) for value in ids)
        and all(_is(_HEX_64, value) for value in (found.frame_sha256, found.picture_sha256))
        and all(_is(_WORD, value) for value in words)
        and type(found.at) is int
        and 0 <= found.at < _MAX_TIME
        and type(camera.trusted) is bool
    )
    return found if right else None


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _to_bytes(text: str) -> bytes | None:
    """base64url without padding; None for any other text, or for a second way to write the same bytes."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _to_text(data) == text else None
