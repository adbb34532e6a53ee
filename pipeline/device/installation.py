"""`Installation`: a device's identity and its key, in a file that opens on this machine only.

The file holds the device id and the Ed25519 key encrypted, and nothing about the machine, not even hashed.
The key to it is made of the machine's traits. There is one copy of it for each trait, sealed without that
one: so it still opens when any one trait changed, and not when two did. Which one opens tells which one did.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import platformdirs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pipeline.device.traits import TRAITS, ReadTraits, Traits, read_traits
from pipeline.errors import SettingsError
from pipeline.protocol.attestation import InstallKey

log = logging.getLogger("livegate.device")

LEAST_TRAITS: Final = 4
"""Traits that a machine must show. With one left out, three still have to be right."""

_VERSION: Final = 1
_SEED: Final = 32
_NONCE: Final = 12
_FILE_LENGTH: Final = 64 * 1024
# A short trait can be guessed by one who has the file. scrypt (RFC 7914) makes each guess cost 16 MiB and
# some 50 ms of a core.
_SCRYPT: Final[dict[str, int]] = {"n": 2**14, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True, eq=False)
class Installation:
    """An identity that belongs to this machine.

    Attributes:
        device_id: 32 hex digits, the same until the file is removed.
        key: signs attestations; in no repr.
        salt: keys the digests of what must not be told in clear.
        changed: the trait that was found changed and taken over, or None.
    """

    device_id: str
    key: Ed25519PrivateKey = field(repr=False)
    salt: bytes = field(repr=False)
    changed: str | None = None

    @property
    def public(self) -> InstallKey:
        """What ``init`` tells the gateway."""
        return InstallKey(self.device_id, self.key.public_key().public_bytes_raw())

    def digest(self, purpose: str, text: str) -> str:
        """Keyed digest of a text, 32 hex digits: equal for equal texts of this installation only."""
        return hmac.new(self.salt, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()[:32]


def default_path() -> Path:
    """Where the file lies: the user's data folder."""
    return platformdirs.user_data_path("livegate", appauthor=False) / "device.json"


def open_installation(path: Path | None = None, *, traits: ReadTraits = read_traits) -> Installation:
    """Open this machine's identity, or make one where there is none.

    A file that was made on another machine, or that is damaged, is put aside (``.foreign``) and a new
    identity is made: a copied file gives a copy nothing.

    Args:
        path: the file, made with mode 600; `default_path` if left out.
        traits: reads the machine.

    Raises:
        SettingsError: the file can't be read or written, or the machine shows fewer than `LEAST_TRAITS`.
    """
    path = path or default_path()
    found = {name: str(value) for name, value in traits().items() if name in TRAITS}
    found = {name: found.get(name, "") for name in TRAITS}
    if sum(map(bool, found.values())) < LEAST_TRAITS:
        raise SettingsError(
            f"this machine shows fewer than {LEAST_TRAITS} traits, so no identity can be bound to it",
            hint="A container hides them: give it the host's machine-id, or run livegate outside of it.",
        )
    for _ in range(3):  # another process may make the file, or put it aside, at the same time
        content = _read(path)
        if content is None:
            _write(path, _make(found), replace=False)
            continue
        installation = _open(content, found)
        if installation is None:
            log.warning("the device's identity is another machine's, or damaged: it is put aside")
            _put_aside(path, content)
            continue
        if installation.changed is not None:
            log.warning("the device's trait %s changed: it is taken over", installation.changed)
            _write(path, _sealed(found, installation.salt, _payload(installation)), replace=True)
        return installation
    raise SettingsError("the device's identity is made anew again and again by another program")


def _make(traits: Traits) -> dict[str, Any]:
    """A new identity. Its id is a digest of the traits under the new salt, so it tells nothing of them."""
    salt = secrets.token_bytes(32)
    told = json.dumps([traits[name] for name in TRAITS], ensure_ascii=True)
    device_id = hmac.new(salt, told.encode("ascii"), hashlib.sha256).digest()[:16]
    return _sealed(traits, salt, secrets.token_bytes(_SEED) + device_id)


def _payload(installation: Installation) -> bytes:
    return installation.key.private_bytes_raw() + bytes.fromhex(installation.device_id)


def _sealed(traits: Traits, salt: bytes, payload: bytes) -> dict[str, Any]:
    copies = {}
    for left_out in TRAITS:
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(_key(traits, salt, left_out)).encrypt(nonce, payload, _bound(left_out))
        copies[left_out] = _text(nonce + sealed)
    return {"version": _VERSION, "salt": _text(salt), "sealed_without": copies}


def _open(content: Mapping[str, Any], traits: Traits) -> Installation | None:
    """Try the copies one after the other; None where none opens here."""
    salt = _bytes(content.get("salt"))
    copies = content.get("sealed_without")
    if content.get("version") != _VERSION or len(salt) != 32 or not isinstance(copies, Mapping):
        return None
    opened: dict[str, bytes] = {}
    for left_out in TRAITS:
        data = _bytes(copies.get(left_out))
        try:
            cipher = AESGCM(_key(traits, salt, left_out))
            opened[left_out] = cipher.decrypt(data[:_NONCE], data[_NONCE:], _bound(left_out))
        except (InvalidTag, ValueError):
            continue
        if len(opened) == 2:  # two sets of all but one are right, so all are
            break
    if not opened:
        return None
    changed, payload = next(iter(opened.items()))
    if len(payload) != _SEED + 16:
        return None
    key = Ed25519PrivateKey.from_private_bytes(payload[:_SEED])
    return Installation(payload[_SEED:].hex(), key, salt, None if len(opened) == 2 else changed)


def _key(traits: Traits, salt: bytes, left_out: str) -> bytes:
    """The key that all traits but one make together."""
    told = json.dumps([[name, traits[name]] for name in TRAITS if name != left_out], ensure_ascii=True)
    return Scrypt(salt=salt + left_out.encode("ascii"), length=32, **_SCRYPT).derive(told.encode("ascii"))


def _bound(left_out: str) -> bytes:
    return f"livegate installation {_VERSION} without {left_out}".encode("ascii")


def _read(path: Path) -> dict[str, Any] | None:
    """The file's content, empty where it is damaged; None where there is no file."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            log.warning("the device's identity could be read by other users: its mode is set to 600")
            path.chmod(0o600)
        with path.open("rb") as file:
            content = json.loads(file.read(_FILE_LENGTH))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"the device's identity can't be read: {type(error).__name__}") from None
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: Mapping[str, Any], *, replace: bool) -> None:
    """Write the file whole or not at all, mode 600; without ``replace`` never over one that exists."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            part.replace(path)
        else:
            try:
                os.link(part, path)  # unlike a rename, this fails where the name is taken
            except FileExistsError:
                return
    except OSError as error:
        raise SettingsError(f"the device's identity can't be written: {type(error).__name__}") from None
    finally:
        part.unlink(missing_ok=True)


def _put_aside(path: Path, content: Mapping[str, Any]) -> None:
    try:
        if _read(path) == content:  # else another process has made a new one meanwhile
            path.replace(path.with_name(f"{path.name}.foreign"))
    except OSError as error:
        raise SettingsError(f"the device's identity can't be put aside: {type(error).__name__}") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
