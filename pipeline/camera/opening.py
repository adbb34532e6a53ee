"""`open_source`: which source a word names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pipeline.camera.address import StreamAddress
from pipeline.camera.capture import CaptureFactory, open_cv_rtsp
from pipeline.camera.clock import Clock, SystemClock
from pipeline.camera.device import DEV_ROOT, device_source
from pipeline.camera.file import FileSource
from pipeline.camera.header import is_video, picture_format
from pipeline.camera.identity import SYSFS_ROOT
from pipeline.camera.live import LiveSource
from pipeline.camera.names import redact_url, shown_path, split_credentials
from pipeline.camera.picture import open_folder, open_picture
from pipeline.camera.source import Source, SourceInfo, SourceOptions
from pipeline.errors import SourceOpenError

_SPECS: Final = (
    "Give a camera's number, /dev/videoN, a video, a picture, a folder of pictures, "
    "or an rtsp:// or http:// URL."
)


def open_source(
    spec: int | str | Path,
    *,
    options: SourceOptions | None = None,
    clock: Clock | None = None,
    sysfs_root: Path = SYSFS_ROOT,
    dev_root: Path = DEV_ROOT,
) -> Source:
    """Open a source of frames. Live ones have given their first frame when this returns.

    Args:
        spec: camera number (``0``, ``"0"``), ``/dev/videoN`` or a link to one, video file, picture file,
            folder of pictures, ``rtsp://``, or ``http(s)://`` of an MJPEG stream. Files are told by their
            content, not by their ending; ``./0`` is the file of that name.
        options: see `SourceOptions`.
        clock: of live sources.
        sysfs_root: where the identity of devices is read.
        dev_root: folder of the device nodes.

    Returns:
        The source; close it, or use it in a ``with`` block.

    Raises:
        SourceOpenError: it does not exist, is busy, empty, damaged, or nothing that is known.
        FrameError: its frames are too large or too small.
    """
    options = options or SourceOptions()
    clock = clock or SystemClock()
    if isinstance(spec, bool) or not isinstance(spec, int | str | Path):
        raise SourceOpenError(f"a source can't be a {type(spec).__name__}", hint=_SPECS)
    if isinstance(spec, str) and not spec.strip():
        raise SourceOpenError("no source is named", hint=_SPECS)
    if isinstance(spec, str) and "://" in spec:
        return _open_url(spec, options, clock)
    index = _device_index(spec, dev_root)
    if index is None:
        return _open_path(Path(str(spec)), options)
    if not 0 <= index < 1000:
        raise SourceOpenError(
            f"there is no camera {index}", hint="Cameras count from 0; see `livegate doctor`."
        )
    factory, info = device_source(index, options, clock, sysfs_root=sysfs_root, dev_root=dev_root)
    return LiveSource(factory, info, options, clock)


def _open_url(url: str, options: SourceOptions, clock: Clock) -> Source:
    scheme = url.partition("://")[0].lower()
    if scheme not in ("rtsp", "http", "https"):
        shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "this"
        raise SourceOpenError(f"{shown}:// is not a kind of source that is known", hint=_SPECS)
    split_credentials(url)
    info = SourceInfo(
        kind="network",
        name=redact_url(url),
        live=True,
        trusted=False,
        reason="whoever answers at a network address can send any frames",
        address=StreamAddress.of(url),
    )
    factory = _rtsp(url, options, clock) if scheme == "rtsp" else _mjpeg(url, options, clock)
    return LiveSource(factory, info, options, clock)


def _rtsp(url: str, options: SourceOptions, clock: Clock) -> CaptureFactory:
    return lambda: open_cv_rtsp(url, options, clock)


def _mjpeg(url: str, options: SourceOptions, clock: Clock) -> CaptureFactory:
    # here and not above: a gate without a network source loads no network library
    from pipeline.camera.mjpeg import MjpegCapture

    return lambda: MjpegCapture(url, options, clock)


def _device_index(spec: int | str | Path, dev_root: Path) -> int | None:
    """Number of the camera that a word or path means, links (``/dev/v4l/by-id/...``) followed; else None."""
    if isinstance(spec, int):
        return spec
    if isinstance(spec, str) and re.fullmatch(r"-?[0-9]{1,9}", spec.strip()):
        return int(spec)
    try:
        places = (Path(spec), Path(spec).resolve())
    except (OSError, ValueError, RuntimeError):
        return None
    for place in places:
        found = re.fullmatch(r"video([0-9]{1,6})", place.name)
        if found and place.parent in (dev_root, dev_root.resolve()):
            return int(found[1])
    return None


def _open_path(path: Path, options: SourceOptions) -> Source:
    name = shown_path(path)
    try:
        if path.is_dir():
            return open_folder(path, options)
        if not path.exists():
            raise SourceOpenError(f"there is no file or folder {name}", hint="Check the path. " + _SPECS)
        if not path.is_file():
            raise SourceOpenError(f"{name} is neither a file nor a folder", hint=_SPECS)
        with path.open("rb") as file:
            head = file.read(192)
    except OSError as error:
        raise SourceOpenError(f"{name} can't be read ({error.strerror})", hint="Check its rights.") from None
    except ValueError:
        raise SourceOpenError("the source's path holds a character that no path has", hint=_SPECS) from None
    if not head:
        raise SourceOpenError(f"{name} is empty", hint=_SPECS)
    if picture_format(head):
        return open_picture(path, options)
    if is_video(head):
        return FileSource(path, options)
    raise SourceOpenError(
        f"{name} is neither a video nor a picture, whatever its ending says",
        hint="Use MP4, MOV, WebM, MKV or AVI, or JPEG, PNG, BMP or WebP.",
    )
