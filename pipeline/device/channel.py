"""`AttestedService`: asked by the gate in place of the client, so that each upload is attested."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipeline import __version__
from pipeline.camera import SourceInfo
from pipeline.device.installation import Installation
from pipeline.device.metainfo import App
from pipeline.errors import MatchError
from pipeline.match.client import MatchResult
from pipeline.match.encode import Upload
from pipeline.match.person import Person
from pipeline.protocol.attestation import Attestation, Camera, sign_attestation


class SessionClient(Protocol):
    """Whoever sends an upload that finishes a session: `pipeline.match.client.MatchClient`, or a fake."""

    def match(
        self,
        person: Person,
        upload: Upload,
        consent: str,
        *,
        query_id: str | None = None,
        attestation: str | None = None,
    ) -> MatchResult:
        """Ask whether the uploaded face is this person's; raises `MatchError`."""

    def close(self) -> None:
        """Give connections back."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One verification, as the channel has to know it.

    Attributes:
        query_id: session that its upload finishes.
        camera: where its frames come from.
        cancelled: set once nothing may be sent any more.
        sent: set once the upload begins; a cancellation comes too late then.
    """

    query_id: str
    camera: Camera
    cancelled: threading.Event
    sent: threading.Event


class AttestedService:
    """Sends uploads with the session they belong to and the installation's attestation.

    Args:
        client: sends them.
        installation: signs.
        app: the program.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        client: SessionClient,
        installation: Installation,
        app: App,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._installation = installation
        self._app = app
        self._clock = clock
        self._errand: Errand | None = None

    def begin(self, errand: Errand) -> None:
        """The verification that the next upload belongs to; it may send one."""
        self._errand = errand

    def match(self, person: Person, upload: Upload, consent: str) -> MatchResult:
        """Send an upload for the verification that was begun.

        Raises:
            MatchError: none was begun, it has sent its upload or it was cancelled; and as the client's.
        """
        errand, self._errand = self._errand, None
        if errand is None:
            raise MatchError("an upload belongs to no verification")
        if errand.cancelled.is_set():
            raise MatchError("the verification was cancelled, so nothing is sent")
        errand.sent.set()
        return self._client.match(
            person,
            upload,
            consent,
            query_id=errand.query_id,
            attestation=self._attest(errand, upload),
        )

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _attest(self, errand: Errand, upload: Upload) -> str:
        said = Attestation(
            query_id=errand.query_id,
            device_id=self._installation.device_id,
            app=self._app.name,
            app_version=self._app.version,
            sdk_version=__version__,
            at=int(self._clock()),
            frame_sha256=upload.pixel_sha256,
            picture_sha256=hashlib.sha256(upload.jpeg).hexdigest(),
            camera=errand.camera,
        )
        return sign_attestation(said, self._installation.key)


def camera_of(info: SourceInfo, installation: Installation, *, trusted: bool) -> Camera:
    """What an attestation says of a source; its identity, which may hold a serial number, as a digest."""
    identity = info.identity
    model = f"{identity.vendor}:{identity.product}" if identity is not None and identity.vendor else ""
    return Camera(
        id=installation.digest("camera", info.id),
        kind=info.kind,
        bus="" if identity is None else identity.bus,
        model=model[:64],
        trusted=trusted,
    )
