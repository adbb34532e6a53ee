"""What `livegate models` does: list, pull, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import ModelError, ModelHashError, ModelMissingError, OfflineError
from pipeline.nets.manifest import ModelSpec
from pipeline.nets.progress import SILENT, Progress
from pipeline.nets.store import ModelStore, check_bytes

if TYPE_CHECKING:  # both bring heavy packages, and the network's: imported where something is pulled
    from pipeline.nets.fetch import Fetcher

State = Literal["ok", "missing", "wrong"]
DEFAULT_GROUPS = ("core",)


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as it is on this machine.

    Attributes:
        spec: its entry in the manifest.
        state: ``ok``, ``missing``, or ``wrong`` where its bytes are not the manifest's.
        path: where its file lies or would lie.
        detail: what is wrong, or empty.
    """

    spec: ModelSpec
    state: State
    path: Path
    detail: str = ""


def list_models(store: ModelStore) -> list[ModelStatus]:
    """Every model of the manifest; only sizes are compared."""
    return [_listed(store, spec) for spec in store.manifest.models.values()]


def verify(store: ModelStore) -> list[ModelStatus]:
    """Every model of the manifest; SHA-256 of every file that is there is compared."""
    return [_verified(store, spec) for spec in store.manifest.models.values()]


def pull(
    store: ModelStore,
    names: Sequence[str] = (),
    *,
    force: bool = False,
    offline: bool = False,
    source_path: Path | None = None,
    progress: Progress = SILENT,
    fetcher: Fetcher | None = None,
) -> list[ModelStatus]:
    """Get models and convert them.

    Args:
        store: the cache.
        names: models and groups; the group ``core`` when empty.
        force: fetch again even what is there and right.
        offline: forbid all network, besides the store's own switch.
        source_path: the original file of the one model named, instead of fetching it.
        progress: told of each step.
        fetcher: how to fetch; made when left out.

    Returns:
        The state of each model asked for, all ``ok``.

    Raises:
        OfflineError: the network is needed and forbidden.
        ModelFetchError: a download failed; what the cache had before stays.
        ModelHashError: the bytes are not the manifest's; what the cache had before stays.
        ModelConvertError: the original can't be converted.
        ModelError: a name is not known, or the cache can't be written.
    """
    specs = store.manifest.select(tuple(names) or DEFAULT_GROUPS)
    if source_path is not None and len(specs) != 1:
        raise ModelError(
            "a file can stand in for one model only", hint="Name one model together with --from."
        )
    if source_path is None:  # a group leaves out what only the user can bring
        specs = [spec for spec in specs if spec.source.kind != "path" or spec.name in names]
    wanted = [spec for spec in specs if force or source_path or _verified(store, spec).state != "ok"]
    if wanted:
        with fetcher or _fetcher(progress) as source:
            for spec in wanted:
                _install(store, spec, source, offline or store.offline, source_path, progress, force=force)
    return [_verified(store, spec) for spec in specs]


def _fetcher(progress: Progress) -> Fetcher:
    from pipeline.nets.fetch import Fetcher

    return Fetcher(progress=progress)


def _install(
    store: ModelStore,
    spec: ModelSpec,
    fetcher: Fetcher,
    offline: bool,
    source_path: Path | None,
    progress: Progress,
    *,
    force: bool,
) -> None:
    original = _bundled(store, spec) if spec.source.kind == "bundled" else None
    if original is None and not force and source_path is None:
        original = _cached(store, spec)
    if original is None:
        original = _obtain(spec, fetcher, offline, source_path)
        store.write(store.original(spec), original)
    if spec.converted is None:
        return
    from pipeline.nets.convert import convert

    progress.start(spec.name, f"converting {spec.name}", None)
    try:
        result = convert(spec, original)
    finally:
        progress.finish(spec.name)
    check_bytes(spec.name, result, spec.sha256, spec.size)
    store.write(store.file(spec), result)


def _cached(store: ModelStore, spec: ModelSpec) -> bytes | None:
    """The original, where the cache has it and it is right."""
    try:
        data = store.original(spec).read_bytes()
        check_bytes(spec.name, data, spec.source.sha256, spec.source.size)
    except (OSError, ModelHashError):
        return None
    return data


def _bundled(store: ModelStore, spec: ModelSpec) -> bytes:
    path = store.original(spec)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelMissingError(
            f"{path.name} of model {spec.name} is not part of this installation",
            hint="Install livegate again.",
        ) from error
    check_bytes(spec.name, data, spec.source.sha256, spec.source.size)
    return data


def _obtain(spec: ModelSpec, fetcher: Fetcher, offline: bool, source_path: Path | None) -> bytes:
    if source_path is None and spec.source.kind == "path":
        raise ModelMissingError(
            f"model {spec.name} can't be downloaded",
            hint=f"Run `livegate models pull {spec.name} --from FILE`.",
        )
    if source_path is not None:
        try:
            data = source_path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{source_path} can't be read: {error.strerror}", hint="Check the path."
            ) from error
    elif offline:
        raise OfflineError(f"model {spec.name} is missing and the network is forbidden")
    else:
        data = fetcher.fetch(spec.name, spec.source)
    check_bytes(spec.name, data, spec.source.sha256, spec.source.size)
    return data


def _listed(store: ModelStore, spec: ModelSpec) -> ModelStatus:
    path = store.file(spec)
    try:
        size = path.stat().st_size
    except OSError:
        return ModelStatus(spec, "missing", path)
    if size != spec.size:
        return ModelStatus(spec, "wrong", path, f"{size} bytes instead of {spec.size}")
    return ModelStatus(spec, "ok", path)


def _verified(store: ModelStore, spec: ModelSpec) -> ModelStatus:
    path = store.file(spec)
    try:
        store.check(spec, path)
    except ModelMissingError as error:
        return ModelStatus(spec, "missing", path, error.message)
    except ModelHashError as error:
        return ModelStatus(spec, "wrong", path, error.message)
    return ModelStatus(spec, "ok", path)
