"""What the commands share: where output goes, how flags become settings, how errors end."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from pipeline.errors import ClientCode, LivegateError, UsageError
from pipeline.settings import Settings
from pipeline.signals import signals_to

if TYPE_CHECKING:
    from pipeline.camera import SourceOptions

stderr = Console(stderr=True, soft_wrap=True)
"""Logs, progress and guidance."""
stdout = Console(soft_wrap=True)
"""Results for people, lines and paths unbroken. With ``--json`` nothing but JSON lines goes to standard
output."""


INTERRUPTED = 130
"""Status of a command that Ctrl-C ended, as shells have it. `livegate run` ends with a result instead."""

ProviderOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the nets: cpu, openvino, directml, coreml, cuda, xnnpack. "
        "The CPU where it is absent, fails or gives other outputs.",
    ),
]


def emit(record: Mapping[str, Any]) -> None:
    """Write one JSON object as one line to standard output, at once.

    Characters stand for themselves where standard output is UTF-8. Elsewhere, and in a line with a file name
    that is not UTF-8, they are escaped: the same JSON in any encoding. ``os.fsencode`` of a name read back
    gives its bytes.
    """
    line = json.dumps(record, ensure_ascii=False)
    if not _is_utf8(sys.stdout.encoding) or not _encodable(line):
        line = json.dumps(record)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _is_utf8(encoding: str | None) -> bool:
    return encoding is None or codecs.lookup(encoding).name == "utf-8"  # None: text kept in memory


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def build_settings(**flags: Any) -> Settings:
    """Settings from the flags that were given; the others come from environment, file and defaults."""
    return Settings(**{name: value for name, value in flags.items() if value is not None})


def existing(path: Path) -> Path:
    """A file or folder that a command was given, looked for before anything is loaded or opened.

    Not for the SOURCE of a check, whose absence is a result, nor for the files of ``score``, of which each
    has its own line.

    Raises:
        UsageError: it is not there; the message shows its name as far as it may be shown.
    """
    from pipeline.camera.names import shown_path

    if not path.exists():
        raise UsageError(f"there is no file or folder {shown_path(path)}", hint="Check the path.")
    return path


def source_options(settings: Settings) -> SourceOptions:
    """How sources are opened, out of the settings."""
    from pipeline.camera import SourceOptions

    return SourceOptions(
        width=settings.camera_width,
        height=settings.camera_height,
        fps=settings.camera_fps,
        read_deadline_s=settings.read_deadline_s,
        reconnect_deadline_s=settings.reconnect_deadline_s,
    )


def set_up_logging(verbose: bool) -> None:
    """Log to standard error: warnings, or everything of livegate's own loggers with ``--verbose``."""
    handler = RichHandler(console=stderr, show_path=False, rich_tracebacks=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("livegate").setLevel(logging.DEBUG if verbose else logging.WARNING)


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C within the block, once: what ends then is not interrupted again."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    with signals_to(interrupt, [signal.SIGTERM]):
        yield


def run_guarded(command: Callable[[], object]) -> int:
    """Run the command line; errors of the tree end with a sentence, the way out and the contract's status.

    What the operating system refuses, a full disk or a file that may not be written, is a system error (6).
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that can't be shown ends no command
    try:
        command()
        return 0
    except LivegateError as error:
        stderr.print(f"[bold red]error[/] [bold]{error.code}[/]: ", end="", highlight=False)
        stderr.print(error.message, markup=False, highlight=False)
        stderr.print(f"       {error.hint}", markup=False, highlight=False)
        return 2 if isinstance(error, UsageError) else error.client_code.exit_status
    except SystemExit as ended:  # typer's own end; Ctrl-C among them
        if ended.code == INTERRUPTED:
            stderr.print("interrupted")
        raise
    except KeyboardInterrupt:
        stderr.print("interrupted")
        return INTERRUPTED
    except OSError as error:
        from pipeline.camera.names import shown_path

        name = f"{shown_path(str(error.filename))}: " if error.filename else ""
        stderr.print("[bold red]error[/] [bold]system[/]: ", end="", highlight=False)
        stderr.print(f"{name}{error.strerror or type(error).__name__}", markup=False, highlight=False)
        return ClientCode.SYSTEM_ERROR.exit_status
