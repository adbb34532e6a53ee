"""``livegate run``: one check, from a source of frames to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.cli.common import (
    ProviderOption,
    build_settings,
    emit,
    sigterm_interrupts,
    source_options,
    stderr,
    stdout,
)
from pipeline.errors import LivegateError
from pipeline.result import Guidance, Result, UploadInterrupted

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Camera index, /dev/videoN, video file, folder of pictures, rtsp:// or http:// MJPEG stream.",
    ),
]


def run(
    source: SourceArgument,
    mode: Annotated[
        str | None,
        typer.Option(
            help="'liveness' (纯客户端活体): all on this machine, nothing is sent. "
            "'verify' (实人认证): a frame that passed is sent as method=match.",
            metavar="verify|liveness",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The person's name; verify mode.")] = None,
    cert_number: Annotated[str | None, typer.Option(help="The person's ID number; verify mode.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="The face_verify service. Left out: the embedded gateway, in this process."),
    ] = None,
    consent: Annotated[
        str | None, typer.Option(help="Reference under which the person agreed to the upload; verify mode.")
    ] = None,
    allow_test_source: Annotated[
        bool | None,
        typer.Option(
            "--allow-test-source",
            help="Test switch: a file, folder or virtual camera may lead to an upload. The result says so.",
        ),
    ] = None,
    provider: ProviderOption = None,
    json_lines: Annotated[
        bool,
        typer.Option("--json", help="One JSON object per line on standard output; the last is the result."),
    ] = False,
) -> None:
    """Check that a live person is there and, in verify mode, who it is.

    Keys come from LIVEGATE_ACCESS_KEY_ID and LIVEGATE_ACCESS_KEY_SECRET, or from the file that
    LIVEGATE_ACCESS_KEY_FILE names; never from a flag.

    Exit status: 0 passed (1000), 3 rejected (2006), 4 interrupted or undecided (1003), 5 network (2002),
    6 system error (1001), 2 bad usage. Ctrl-C and SIGTERM end with 4, and with 5 (outcome_unknown) where
    a picture may have been sent.

    The first camera, liveness only: livegate run 0

    A recording, for a script: livegate run clip.mp4 --json

    Verification: livegate run 0 --mode verify --name 张三 --cert-number 11010519491231002X --consent form-17
    """
    from pipeline.camera import open_source
    from pipeline.errors import ClientCode, UsageError
    from pipeline.gate import Gate
    from pipeline.match.person import Person
    from pipeline.protocol.cert_number import CertCheck
    from pipeline.reasons import Reason

    settings = build_settings(
        mode=mode, endpoint=endpoint, allow_test_source=allow_test_source, provider=provider
    )
    person = None
    if name is not None or cert_number is not None:
        if name is None or cert_number is None:
            raise UsageError("a person needs both --name and --cert-number")
        person = Person(name, cert_number)
        person.check_cert_number(CertCheck(settings.cert_check))
    result: Result
    try:
        with sigterm_interrupts(), Gate(settings) as gate:
            gate.validate(person=person, consent=consent)
            events = gate.events(
                open_source(source, options=source_options(settings)), person=person, consent=consent
            )
            result = _follow(events, json_lines=json_lines)
    except UsageError:
        raise
    except LivegateError as error:  # the gate or its source can't even start: a result all the same
        result = Result(
            error.client_code, settings.mode, Reason.SYSTEM_ERROR, error=error.code, hint=error.hint
        )
        stderr.print(f"{error.code}: {error.message}", markup=False, highlight=False)
    except UploadInterrupted as stopped:
        result = stopped.result
    except KeyboardInterrupt:
        result = Result(ClientCode.INTERRUPTED, settings.mode, Reason.INTERRUPTED)
    if json_lines:
        emit(result.to_json())
    else:
        _tell(result)
    raise typer.Exit(result.code.exit_status)


def _follow(events: Iterator[Guidance | Result], *, json_lines: bool) -> Result:
    """Show guidance while the check runs; the last event is the result."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    last: Guidance | None = None
    hidden = json_lines or not stderr.is_terminal
    with Progress(*columns, console=stderr, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=1.0)
        for event in events:
            if isinstance(event, Result):
                return event
            message = event.to_json()["message"]
            bar.update(task, completed=event.progress, description=f"{message['zh']} {message['en']}")
            if json_lines and (last is None or event.reason != last.reason):
                emit(event.to_json())
            last = event
    raise LivegateError("the check ended without a result")


def _tell(result: Result) -> None:
    """The verdict for a person, in both languages."""
    message = result.to_json()["message"]
    colour = "green" if result.passed else "red"
    stdout.print(f"[bold {colour}]{int(result.code)}[/] {message['zh']} {message['en']}", highlight=False)
    if result.liveness:
        live = result.liveness
        stdout.print(
            f"  liveness {'passed' if live.passed else 'not passed'}: score {live.score:.3f}, "
            f"{live.frames} frames judged in {live.elapsed_ms:.0f} ms of video",
            highlight=False,
        )
    if result.match:
        stdout.print(f"  match: code {result.match.code}, score {result.match.score}", highlight=False)
    if result.test_source:
        stdout.print("  let through by the test switch: this source is not a trusted camera", highlight=False)
    if result.hint:
        stdout.print(f"  {result.hint}", highlight=False)
