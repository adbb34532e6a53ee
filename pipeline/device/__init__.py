"""The SDK of desktop apps: identity of the device, ``metainfo``, verification with an attestation."""

from pipeline.device.installation import Installation, open_installation
from pipeline.device.metainfo import App
from pipeline.device.sdk import DeviceSdk, Response, Verification, install
from pipeline.device.traits import read_traits

__all__ = [
    "App",
    "DeviceSdk",
    "Installation",
    "Response",
    "Verification",
    "install",
    "open_installation",
    "read_traits",
]
