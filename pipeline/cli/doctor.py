"""``livegate doctor``: what works on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from pipeline.cli.common import ProviderOption, build_settings, emit, stdout
from pipeline.errors import LivegateError
from pipeline.settings import Settings

State = Literal["ok", "warn", "fail"]
MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
CLOCK_TOLERANCE_S = 15 * 60
"""The service refuses requests whose time is further off than this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: part of the machine.
        state: ``ok``, ``warn`` where something optional is missing, ``fail`` where a check can't run.
        detail: what was found, free of secrets.
        hint: the way out, or empty.
    """

    what: str
    state: State
    detail: str
    hint: str = ""


def doctor(
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object per line on standard output.")
    ] = False,
    provider: ProviderOption = None,
) -> None:
    """Tell what works on this machine: libraries, model files, cameras, endpoint, clock, keys.

    Nothing is sent but, where an endpoint is set, one request for its headers. Status 6 where a
    check could not run.
    """
    settings = build_settings(provider=provider)
    worst: State = "ok"
    for finding in _findings(settings):
        worst = "fail" if "fail" in (worst, finding.state) else worst
        if json_lines:
            emit({"event": "finding", "what": finding.what, "state": finding.state, "detail": finding.detail,
                  "hint": finding.hint or None})  # fmt: skip
        else:
            stdout.print(f"{MARKS[finding.state]} {finding.what}: {finding.detail}", highlight=False)
            if finding.hint:
                stdout.print(f"       {finding.hint}", highlight=False)
    if worst == "fail":
        raise typer.Exit(6)


def _findings(settings: Settings) -> Iterator[Finding]:
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _libraries,
        _models,
        _provider,
        _cameras,
        _keys,
        _endpoint,
    )
    for check in checks:
        try:
            yield from check(settings)
        except LivegateError as error:
            yield Finding(check.__name__.strip("_"), "fail", error.message, error.hint)


def _libraries(settings: Settings) -> Iterator[Finding]:
    import onnxruntime

    names = ("numpy", "opencv-python", "onnxruntime", "httpx")
    found = ", ".join(f"{name} {_version(name)}" for name in names)
    yield Finding("libraries", "ok", f"python {sys.version.split()[0]}, {found}")
    yield Finding("execution providers", "ok", ", ".join(onnxruntime.get_available_providers()))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    for candidate in (name, f"{name}-headless", name.replace("python", "contrib-python")):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return "of another build"


def _models(settings: Settings) -> Iterator[Finding]:
    from pipeline.nets import open_store, verify

    store = open_store(settings.models_dir, offline=settings.offline)
    needed = _needed(settings)
    embedded = settings.mode == "verify" and settings.endpoint is None
    for status in verify(store):
        wanted = status.spec.name in needed or (embedded and status.spec.group == "authority")
        if status.state == "ok":
            yield Finding(f"model {status.spec.name}", "ok", "present, SHA-256 right")
        elif wanted or status.state == "wrong":
            again = " --force" if status.state == "wrong" else ""
            hint = f"Run `livegate models pull {status.spec.name}{again}`."
            yield Finding(f"model {status.spec.name}", "fail", status.state, hint)
        else:
            yield Finding(f"model {status.spec.name}", "warn", "not pulled; not needed by these settings")


def _provider(settings: Settings) -> Iterator[Finding]:
    if settings.provider == "cpu":
        return
    from pipeline.nets import check_provider, open_store
    from pipeline.nets.session import WORDS

    store = open_store(settings.models_dir, offline=settings.offline)
    for name in _needed(settings):
        found = check_provider(store.path(name), settings.provider)
        what = f"{settings.provider} for {name}"
        if found.state == "same":
            yield Finding(what, "ok", f"gives the processor's outputs to {found.difference:.1e}")
        else:
            hint = "The processor runs this net instead; `--provider cpu` asks for that."
            yield Finding(what, "warn", WORDS[found.state], hint)


def _needed(settings: Settings) -> list[str]:
    """Models that these settings use, the embedded gateway's aside."""
    mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
    return ["face_detector", mesh, *settings.nets]


def _cameras(settings: Settings) -> Iterator[Finding]:
    from pipeline.camera import list_cameras
    from pipeline.camera.device import device_info
    from pipeline.camera.trust import judge_source

    cameras, pinned = list_cameras(), settings.pinned_camera
    if pinned is not None and all(camera.id != pinned for camera in cameras):
        yield Finding("pinned camera", "fail", "it is not attached", "Plug it in, or change `pinned_camera`.")
    if not cameras:
        yield Finding("cameras", "warn", "no capture device found", "Plug one in, or check a recording.")
    for camera in cameras:
        seen = judge_source(device_info(camera.node, camera), settings.trusted_sources, pinned)
        yield Finding(
            f"camera {camera.node}", "ok" if seen.trusted else "warn", f"{camera.id}: {camera.reason}"
        )


def _keys(settings: Settings) -> Iterator[Finding]:
    if settings.mode == "liveness":
        yield Finding("keys", "ok", "liveness mode needs none")
    elif settings.endpoint is None:
        yield Finding("keys", "ok", "the embedded gateway makes its own")
    elif settings.access_key_id and settings.access_key_secret:
        yield Finding("keys", "ok", "an access key is set")
    elif settings.access_key_file:
        yield Finding("keys", "ok", "an access key file is set")
    else:
        yield Finding(
            "keys", "fail", "no access key", "Set LIVEGATE_ACCESS_KEY_ID and LIVEGATE_ACCESS_KEY_SECRET."
        )


def _endpoint(settings: Settings) -> Iterator[Finding]:
    if settings.mode == "liveness":
        yield Finding("endpoint", "ok", "liveness mode sends nothing")
        return
    if settings.endpoint is None:
        yield Finding("endpoint", "ok", "none set: the embedded gateway, in process")
        return
    from email.utils import parsedate_to_datetime
    from time import time

    import httpx

    from pipeline.match.exchange import trust

    try:
        with httpx.Client(proxy=settings.proxy, verify=trust(settings.ca_file), timeout=5) as client:
            answer = client.head(settings.endpoint)
    except httpx.HTTPError as error:
        yield Finding("endpoint", "fail", type(error).__name__, "Check address, proxy and certificates.")
        return
    yield Finding("endpoint", "ok", f"answers with HTTP status {answer.status_code}")
    if "date" in answer.headers:
        off = abs(time() - parsedate_to_datetime(answer.headers["date"]).timestamp())
        hint = (
            ""
            if off < CLOCK_TOLERANCE_S
            else "Set the machine's clock: the service refuses requests so far off."
        )
        yield Finding("clock", "fail" if hint else "ok", f"{off:.0f} s off the endpoint's", hint)
