"""Sources of frames: device, file, folder, stream. Imports no network library until a stream is opened."""

from pipeline.camera.address import StreamAddress
from pipeline.camera.capture import Capture, CaptureFactory, CvCapture, Shot
from pipeline.camera.clock import Clock, ManualClock, SystemClock
from pipeline.camera.frame import MAX_PIXELS, MIN_SIDE, Frame, Image, normalise_image, pixel_sha256
from pipeline.camera.identity import DeviceIdentity, identify, list_cameras
from pipeline.camera.live import LiveSource
from pipeline.camera.names import redact_url
from pipeline.camera.opening import open_source
from pipeline.camera.picture import decode_picture, load_picture
from pipeline.camera.source import (
    Source,
    SourceInfo,
    SourceOptions,
    SyntheticSource,
)
from pipeline.camera.trust import SourceVerdict, is_trusted, judge_source
from pipeline.camera.watchdog import LiveStats, Loss

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "Capture",
    "CaptureFactory",
    "Clock",
    "CvCapture",
    "DeviceIdentity",
    "Frame",
    "Image",
    "LiveSource",
    "LiveStats",
    "Loss",
    "ManualClock",
    "Shot",
    "Source",
    "SourceInfo",
    "SourceOptions",
    "SourceVerdict",
    "StreamAddress",
    "SyntheticSource",
    "SystemClock",
    "decode_picture",
    "identify",
    "is_trusted",
    "judge_source",
    "list_cameras",
    "load_picture",
    "normalise_image",
    "open_source",
    "pixel_sha256",
    "redact_url",
]
