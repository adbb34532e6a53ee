"""`Vault`: all that one master key does: identities become keyed digests, templates and secrets ciphertext.

The key lies apart from the database: in an environment variable, or in a file of mode 600 beside a SQLite
database. Whoever has the database alone can neither read a template nor try names and numbers against it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import StoreError

log = logging.getLogger("livegate.gateway")

KEY_VARIABLE: Final = "LIVEGATE_AUTHORITY_KEY"
"""Environment variable with the master key: base64 of 32 bytes."""

KEY_BYTES: Final = 32
_FILE_HEADER: Final = "livegate authority key, version 1. Keep it: the database is lost without it."
_ENVELOPE_VERSION: Final = b"\x01"
# NIST SP 800-38D, section 8.2: 96-bit random nonces, good for 2^32 messages under one key.
_NONCE_BYTES: Final = 12


class Vault:
    """Digests and encryption under keys derived from one master key (HKDF-SHA256, RFC 5869).

    Args:
        master: 32 random bytes.
    """

    __slots__ = ("_cipher", "_pepper", "_picture_cipher", "fingerprint")

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise StoreError(f"the authority's key is not {KEY_BYTES} bytes long")
        self._pepper = _derive(master, b"livegate identity digest")
        self._cipher = AESGCM(_derive(master, b"livegate encryption at rest"))
        self._picture_cipher = AESGCM(_derive(master, b"livegate return image"))
        self.fingerprint = _derive(master, b"livegate key fingerprint")[:16].hex()
        """32 hex digits that tell two keys apart and reveal neither."""

    def digest(self, purpose: str, *parts: str) -> str:
        """HMAC-SHA256 of some text under the pepper.

        Args:
            purpose: keeps digests of different meaning apart.
            parts: the text; the lengths are digested too, so no two lists of parts collide.

        Returns:
            64 hex digits.
        """
        mac = hmac.new(self._pepper, digestmod="sha256")
        for part in (purpose, *parts):
            data = part.encode("utf-8", "surrogatepass")
            mac.update(len(data).to_bytes(8, "big") + data)
        return mac.hexdigest()

    def seal(self, data: bytes, bound_to: str) -> bytes:
        """Encrypt with AES-256-GCM.

        Args:
            data: plain bytes.
            bound_to: where the ciphertext belongs, its row for instance; it opens nowhere else.

        Returns:
            Version byte, 12-byte nonce, ciphertext with its 16-byte tag.
        """
        return _seal(self._cipher, data, bound_to)

    def open(self, sealed: bytes, bound_to: str) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            StoreError: the key is another one, or the bytes were changed or moved to another row.
        """
        return _open(self._cipher, sealed, bound_to)

    def seal_picture(self, data: bytes, query_id: str) -> bytes:
        """As `seal`, under a key of its own, for the picture of this session and of no other."""
        return _seal(self._picture_cipher, data, f"return image {query_id}")

    def open_picture(self, sealed: bytes, query_id: str) -> bytes:
        """As `open`, for what `seal_picture` made."""
        return _open(self._picture_cipher, sealed, f"return image {query_id}")

    def __repr__(self) -> str:
        return "Vault(...)"


def _seal(cipher: AESGCM, data: bytes, bound_to: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _ENVELOPE_VERSION + nonce + cipher.encrypt(nonce, data, bound_to.encode("utf-8"))


def _open(cipher: AESGCM, sealed: bytes, bound_to: str) -> bytes:
    start = len(_ENVELOPE_VERSION)
    if not sealed.startswith(_ENVELOPE_VERSION) or len(sealed) < start + _NONCE_BYTES + 16:
        raise StoreError("an encrypted field of the database has an unknown form")
    nonce, data = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
    try:
        return cipher.decrypt(nonce, data, bound_to.encode("utf-8"))
    except InvalidTag:
        raise StoreError(
            "an encrypted field of the database does not open with the authority's key"
        ) from None


def read_master_key(path: Path | None, environ: Mapping[str, str] = os.environ) -> bytes | None:
    """Get the master key from the environment, else from its file.

    Returns:
        32 bytes, or None where neither has one.

    Raises:
        StoreError: it is there and is no key.
    """
    text = environ.get(KEY_VARIABLE)
    if text:
        return _decode_key(text, f"the variable {KEY_VARIABLE}")
    if path is None:
        return None
    try:
        lines = path.read_text("utf-8").split("\n")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the authority's key file can't be read: {type(error).__name__}") from None
    if os.name == "posix" and mode & 0o077:
        log.warning("the authority's key file can be read by other users: chmod 600 it")
    return _decode_key(lines[1] if len(lines) > 1 else "", "the authority's key file")


def create_master_key(path: Path) -> bytes:
    """Make a master key and write its file with mode 600. Of several processes at once, one wins for all.

    Returns:
        The key that the file holds now.

    Raises:
        StoreError: the file can't be written.
    """
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")
    write_private_once(path, f"{_FILE_HEADER}\n{text}\n")
    key = read_master_key(path, {})
    if key is None:
        raise StoreError("the authority's key file vanished while it was made")
    return key


def write_private_once(path: Path, text: str) -> bool:
    """Write a file of mode 600 whole or not at all, and never over one that exists.

    Returns:
        True where this call wrote it, False where it was there.

    Raises:
        StoreError: the folder is missing or not writable.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # unlike a rename, this fails where the name is taken
        except FileExistsError:
            return False
    except OSError as error:
        raise StoreError(f"a key file can't be written: {type(error).__name__}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return True


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose).derive(master)


def _decode_key(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{where} holds no key: base64 of {KEY_BYTES} bytes is wanted")
    return key
