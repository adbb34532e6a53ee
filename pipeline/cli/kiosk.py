"""``livegate kiosk``: the browser kiosk."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.cli.common import (
    INTERRUPTED,
    ProviderOption,
    build_settings,
    emit,
    source_options,
    stderr,
    stdout,
)
from pipeline.errors import SettingsError
from pipeline.signals import signals_to

if TYPE_CHECKING:
    from pipeline.kiosk import KioskOptions
    from pipeline.settings import KioskSettings, Settings

_STOPPED: Final = "stopped"
"""Said on standard error, whenever the stop came."""


def kiosk(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port, 0 for a free one.")] = 8040,
    source: Annotated[
        str,
        typer.Option(
            help="The camera of this machine: index, /dev/videoN, rtsp:// or http:// MJPEG stream; or a "
            "video or folder to try it with, which is played again and again.",
        ),
    ] = "0",
    mode: Annotated[
        str | None,
        typer.Option(
            help="'liveness' (纯客户端活体): nothing is asked and nothing is sent. "
            "'verify' (实人认证): the page asks for name, number and consent.",
            metavar="verify|liveness",
        ),
    ] = None,
    flash: Annotated[
        bool | None,
        typer.Option(
            "--flash/--no-flash",
            help="The page shows soft changing colours, and the face must answer to them.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="The face_verify service. Left out: the embedded gateway, in this process."),
    ] = None,
    allow_test_source: Annotated[
        bool | None,
        typer.Option(
            "--allow-test-source",
            help="Test switch: a file, folder or virtual camera may lead to an upload. The page says so.",
        ),
    ] = None,
    provider: ProviderOption = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output once pages are answered.")
    ] = False,
) -> None:
    """Serve the kiosk's page for a browser in full screen on this machine, until interrupted.

    The person's page is at /, the operator's at /operator, JSON for monitoring at /operator.json, /healthz.
    In liveness mode there is nothing to press: a check begins when a face comes and the page goes back to
    waiting after its result. The camera is opened here and not by the browser.

    An address other than the loopback needs an operator token: LIVEGATE_KIOSK__OPERATOR_TOKEN, or the file
    that LIVEGATE_KIOSK__OPERATOR_TOKEN_FILE names. The person's page is answered to this machine only, unless
    `remote_screen` is set in the part `kiosk` of livegate.toml. SIGTERM and Ctrl-C end it with status 0,
    while it loads too.

    The first camera: livegate kiosk

    With colours, at another port: livegate kiosk --source /dev/video2 --flash --port 8080

    Verification: livegate kiosk --mode verify --endpoint https://verify.example.com

    Then, on the same machine: chromium --kiosk http://127.0.0.1:8040/
    """
    answering = threading.Event()

    def ready(url: str) -> None:
        answering.set()
        if json_lines:
            emit({"event": "listening", "url": url, "operator_url": f"{url}/operator"})
            return
        stdout.print(f"kiosk at {url}, operator's view at {url}/operator; stop with Ctrl-C", highlight=False)

    with _stopped_at_once(unless=answering):
        from pipeline.camera import open_source
        from pipeline.kiosk import Kiosk, listen, serve_kiosk

        settings = build_settings(
            mode=mode, flash=flash, endpoint=endpoint, allow_test_source=allow_test_source, provider=provider
        )
        options = kiosk_options(settings, host)
        wanted = source_options(settings)
        with listen(host, port) as listener:
            made = Kiosk(settings, lambda: open_source(source, options=wanted), options)
            answered = serve_kiosk(made, listener, host, ready)
    if not answered:
        from pipeline.match.outcome import unknown

        raise unknown()
    stderr.print(_STOPPED)


@contextlib.contextmanager
def _stopped_at_once(unless: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the process with status 0 wherever it is, until the server hears them itself.

    By leaving, and not by an exception: one that a signal raises within an import, a destructor or a library
    is lost there (one start in fifty, by trial), and the kiosk would serve all the same. Nothing is to be
    undone before pages are answered: no check has begun, and files are written in one step.

    Args:
        unless: set once pages are answered. A signal that the server does not hear is then a second one,
            while the service is waited for: it ends the process too, as Ctrl-C ends a command. The camera
            and the nets may still run in their threads, which the interpreter's own end would abort.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        said, status = ("interrupted", INTERRUPTED) if unless.is_set() else (_STOPPED, 0)
        os.write(2, f"{said}\n".encode())  # not through an object that the signal may have found writing
        os._exit(status)

    with signals_to(stop):
        yield


def kiosk_options(settings: Settings, host: str) -> KioskOptions:
    """How the kiosk behaves, out of the settings.

    Raises:
        SettingsError: an address beyond the loopback without an operator token, a token that is too short or
            can't be read, or a consent text in one language only.
    """
    from pipeline.addresses import is_loopback
    from pipeline.kiosk import Access, KioskOptions, Pace
    from pipeline.kiosk.security import LEAST_TOKEN
    from pipeline.kiosk.words import CONSENT

    wanted = settings.kiosk
    token = operator_token(wanted)
    if token is not None and len(token) < LEAST_TOKEN:
        raise SettingsError(f"the operator's token has fewer than {LEAST_TOKEN} characters")
    if token is None and not is_loopback(host):
        raise SettingsError(
            "beyond this machine the operator's pages need a token",
            hint="Set LIVEGATE_KIOSK__OPERATOR_TOKEN or LIVEGATE_KIOSK__OPERATOR_TOKEN_FILE, or drop --host.",
        )
    if (wanted.consent_zh is None) != (wanted.consent_en is None):
        raise SettingsError("the consent's text is wanted in both languages: consent_zh and consent_en")
    return KioskOptions(
        access=Access(host, wanted.names, token, remote_screen=wanted.remote_screen),
        pace=Pace(result_s=wanted.result_s),
        consent=(wanted.consent_zh or CONSENT[0], wanted.consent_en or CONSENT[1]),
        consent_form=wanted.consent_form,
    )


def operator_token(wanted: KioskSettings) -> str | None:
    """The token from the environment or a file; None where neither is set.

    Raises:
        SettingsError: the file can't be read or is empty.
    """
    if wanted.operator_token is not None:
        return wanted.operator_token.get_secret_value()
    if wanted.operator_token_file is None:
        return None
    return _first_line(wanted.operator_token_file)


def _first_line(path: Path) -> str:
    try:
        line = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the operator's token file can't be read: {type(error).__name__}") from None
    if not line:
        raise SettingsError("the operator's token file is empty")
    return line
