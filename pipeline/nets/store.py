"""Per-user cache of model files: atomic writes, read-only files, nothing used whose hash is wrong.

A file lies at ``<root>/<model>/<first 16 digits of its SHA-256><suffix>``: versions of livegate that want
other bytes live side by side, and a name can't come to mean other bytes than it did.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path

import platformdirs

from pipeline.errors import ModelError, ModelHashError, ModelMissingError
from pipeline.nets.manifest import Manifest, ModelSpec, load_manifest

MODELS_DIR_VARIABLE = "LIVEGATE_MODELS_DIR"
OFFLINE_VARIABLE = "LIVEGATE_OFFLINE"
FALSE_WORDS = ("", "0", "false", "no", "off")


class ModelStore:
    """The cache.

    Args:
        root: its folder; made when the first file is written.
        manifest: what may be in it.
        offline: forbids all network, that of child processes too.

    Attributes:
        root: the folder.
        manifest: the entries.
        offline: whether the network is forbidden.
    """

    def __init__(self, root: Path, manifest: Manifest, *, offline: bool = False) -> None:
        self.root = root
        self.manifest = manifest
        self.offline = offline
        self._hashed: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def path(self, name: str) -> Path:
        """File of a model, ready for `make_session`.

        Its size is compared at each call; its SHA-256 at the first call in a process, and again when its size
        or modification time has changed since.

        Args:
            name: an entry of the manifest.

        Raises:
            ModelMissingError: it was not pulled; the message names the command.
            ModelHashError: its bytes are not the manifest's.
            ModelError: there is no such entry.
        """
        spec = self.manifest[name]
        path = self.file(spec)
        try:
            stat = path.stat()
        except OSError as error:
            raise ModelMissingError(
                f"model {name} is not in {self.root}", hint=self._pull_hint(spec)
            ) from error
        mark = (stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if self._hashed.get(name) != mark:
                self.check(spec, path)
                self._hashed[name] = mark
        return path

    def file(self, spec: ModelSpec) -> Path:
        """Where the used file of an entry lies or will lie."""
        if spec.source.kind == "bundled" and spec.converted is None:
            return self.manifest.folder / spec.source.member[0]
        return self.root / spec.name / f"{spec.sha256[:16]}{spec.suffix}"

    def original(self, spec: ModelSpec) -> Path:
        """Where the original of an entry lies or will lie; the same as `file` where nothing is converted."""
        if spec.source.kind == "bundled":
            return self.manifest.folder / spec.source.member[0]
        return self.root / spec.name / f"{spec.source.sha256[:16]}{spec.original_suffix}"

    def check(self, spec: ModelSpec, path: Path) -> None:
        """Compare the used file of an entry with the manifest.

        Raises:
            ModelHashError: size or SHA-256 differ.
            ModelMissingError: it can't be read.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelMissingError(
                f"model {spec.name} can't be read: {error.strerror}",
                hint=self._pull_hint(spec),
            ) from error
        check_bytes(spec.name, data, spec.sha256, spec.size)

    def write(self, path: Path, data: bytes) -> None:
        """Put a file in place in one step and make it read-only; a reader sees the old one or the new one.

        Raises:
            ModelError: the folder can't be written; what was there stays as it was.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o444)
            Path(temporary).replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise self._unwritable(error) from error

    def _pull_hint(self, spec: ModelSpec) -> str:
        """The way to a missing model: with its group where that has it, as one is seldom missing alone."""
        alone = spec.group == "optional" or spec.source.kind == "path"
        command = f"`livegate models pull {spec.name if alone else spec.group}`"
        if self.offline and spec.source.kind not in ("path", "bundled"):
            return (
                f"Run {command} on a machine with a network and copy its models folder to {self.root}, "
                "or unset LIVEGATE_OFFLINE and run it here."
            )
        return f"Run {command}."

    def _unwritable(self, error: OSError) -> ModelError:
        return ModelError(
            f"model cache {self.root} can't be written: {error.strerror}",
            hint=f"Make the folder writable, or set {MODELS_DIR_VARIABLE} to one that is.",
        )


def check_bytes(name: str, data: bytes, sha256: str, size: int) -> None:
    """Compare bytes with the manifest.

    Raises:
        ModelHashError: size or SHA-256 differ.
    """
    hint = f"Run `livegate models pull --force {name}`."
    if len(data) != size:
        raise ModelHashError(f"model {name} has {len(data)} bytes, the manifest says {size}", hint=hint)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelHashError(f"model {name} has SHA-256 {found}, the manifest says {sha256}", hint=hint)


def open_store(
    root: Path | None = None, *, offline: bool | None = None, manifest: Manifest | None = None
) -> ModelStore:
    """The cache as the settings have it.

    Args:
        root: its folder; LIVEGATE_MODELS_DIR, else the user's cache folder, when left out.
        offline: forbid all network; LIVEGATE_OFFLINE when left out.
        manifest: what may be in it; livegate's own when left out.

    Raises:
        ModelError: the manifest can't be read.
    """
    if root is None:
        root = Path(
            os.environ.get(MODELS_DIR_VARIABLE) or platformdirs.user_cache_path("livegate") / "models"
        )
    if offline is None:
        offline = os.environ.get(OFFLINE_VARIABLE, "").strip().lower() not in FALSE_WORDS
    return ModelStore(root.expanduser(), manifest or load_manifest(), offline=offline)
