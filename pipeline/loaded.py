"""The nets of a gate, loaded once, and whose turn it is to use them where several gates share them."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from pipeline.errors import ModelMissingError
from pipeline.liveness.passive import PassiveScorer
from pipeline.nets import ModelStore, open_store
from pipeline.settings import Settings
from pipeline.vision import BlazeFaceDetector, FaceEmbedder, FaceMesh


class Turn:
    """A lock that is given in the order in which it was asked for, for one frame at a time.

    Whoever gives it back and wants it again stands behind all who wait: of N cameras that always have a
    frame, each gets one in N turns, and one that has none holds up nobody. `threading.Lock` has no order.
    """

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._state:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            mine.wait()  # the turn is handed over: it is taken all the while
        except BaseException:
            with self._state:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise
            self._pass_on()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._state:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


class LoadedNets:
    """Detector, mesh, liveness nets and embedding net as the settings name them, loaded once.

    The nets keep buffers from call to call, so they may be used by one thread at a time: within `turn`.

    Args:
        settings: nets, mesh, provider, model folder; in verify mode the embedding net too, where it is there.

    Attributes:
        store: gives model files.
        detector: finds faces.
        mesh: places the face mesh.
        scorer: the liveness nets with their calibration.
        embedder: lets the same-face guard compare embeddings too; None where it is not needed or not there.
        turn: whose turn it is.

    Raises:
        SettingsError: a net has no calibration, or a site's own is wrong.
        ModelError: a model file is missing or wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self.store = open_store(settings.models_dir, offline=settings.offline)
        mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
        provider = settings.provider
        self.detector = BlazeFaceDetector(self.store.path("face_detector"), provider=provider)
        self.mesh = FaceMesh(self.store.path(mesh), provider=provider)
        self.scorer = PassiveScorer.load(
            self.store, settings.nets, provider=provider, site=settings.calibration
        )
        self.embedder = _embedder(self.store, provider) if settings.mode == "verify" else None
        self.turn = Turn()


def _embedder(store: ModelStore, provider: str) -> FaceEmbedder | None:
    try:
        return FaceEmbedder(store.path("fr_feature"), provider=provider)
    except ModelMissingError:
        return None
