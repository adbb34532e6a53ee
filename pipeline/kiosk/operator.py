"""What the operator's page tells: state, camera, times, counts, models, settings. No person, no picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import __version__
from pipeline.camera import judge_source, redact_url
from pipeline.kiosk.board import Board
from pipeline.kiosk.feed import Feed
from pipeline.kiosk.screen import Phase
from pipeline.kiosk.tally import Tally, Times
from pipeline.loaded import LoadedNets
from pipeline.settings import Settings


class Overview:
    """Everything of the operator's view, as JSON.

    Args:
        settings: of the gate.
        nets: of the gate, for the hashes.
        board: the state.
        feed: the camera.
        tally: past checks.
        preview_times: what the preview costs.
    """

    def __init__(
        self,
        settings: Settings,
        nets: LoadedNets,
        board: Board,
        feed: Feed,
        tally: Tally,
        preview_times: Times,
    ) -> None:
        self._settings = settings
        self._models = list(_models(settings, nets))
        self._board = board
        self._feed = feed
        self._tally = tally
        self._preview_times = preview_times

    @property
    def healthy(self) -> bool:
        """Whether a check could begin: frames come and the kiosk is not stopping."""
        return not self._board.closed and not self._feed.stalled

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        settings = self._settings
        return {
            "version": __version__,
            "phase": Phase.CAMERA if self._feed.stalled else self._board.screen.phase,
            "page_connected": self._board.occupied,
            "mode": settings.mode,
            "camera": self._camera(),
            "times": {
                "gate_frame_ms": self._feed.gate_times.to_json(),
                "preview_ms": self._preview_times.to_json(),
            },
            **self._tally.to_json(),
            "models": self._models,
            "settings": _shown(settings),
        }

    def _camera(self) -> dict[str, Any]:
        info, error = self._feed.info, self._feed.error
        told: dict[str, Any] = {
            "state": "lost" if error else "stalled" if self._feed.stalled else "running",
            "frame_rate": round(self._feed.rate, 1),
            "problem": error and {"code": error.code, "hint": error.hint},
        }
        if info is not None:
            seen = judge_source(info, self._settings.trusted_sources, self._settings.pinned_camera)
            told |= {
                "kind": info.kind,
                "name": info.name,
                "id": info.id,
                "trusted": seen.trusted,
                "why": seen.reason,
            }
        return told


def _models(settings: Settings, nets: LoadedNets) -> Iterable[Mapping[str, str]]:
    mesh = "face_mesh_478" if settings.mesh == "accurate" else "face_mesh"
    more = () if nets.embedder is None else ("fr_feature",)
    for name in ("face_detector", mesh, *settings.nets, *more):
        yield {"name": name, "sha256": nets.store.manifest[name].sha256}


def _shown(settings: Settings) -> dict[str, Any]:
    """Settings that an operator asks for; no secret among them."""
    told = settings.model_dump(
        mode="json",
        include={
            "nets",
            "mesh",
            "provider",
            "target_apcer",
            "target_bpcer",
            "detect_every",
            "flash",
            "deadline_s",
            "allow_test_source",
            "pinned_camera",
            "match_threshold",
        },
    )
    told["own_calibration"] = settings.calibration is not None
    if settings.mode == "verify":
        endpoint = settings.endpoint
        told["endpoint"] = "embedded gateway" if endpoint is None else redact_url(endpoint)
    return told
