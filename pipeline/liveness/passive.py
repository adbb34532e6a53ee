"""Single-frame nets: pictures of a face and its surroundings to the log-odds of live, fused over the nets.

`NETS` is the one place that knows them. A net that is added there, in the model manifest and in
`calibrations/` can be named in the settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.camera.frame import Image
from pipeline.errors import ModelError, SettingsError
from pipeline.liveness.calibration import Calibration, load_calibration
from pipeline.liveness.evidence import sigmoid
from pipeline.nets import make_session
from pipeline.vision import CropSpec, View, crop_batch
from pipeline.vision.crop import (
    FACENOX,
    FR_LIVENESS,
    LIVEGATE_CONTEXT,
    LIVEGATE_TIGHT,
    MINIFASNET_V1SE,
    MINIFASNET_V2,
)
from pipeline.vision.types import F32
from pipeline.vision.vision import ModelPaths


@dataclass(frozen=True, slots=True)
class NetSpec:
    """What one net wants and says.

    Attributes:
        crops: for each input of the net in its order: region, size, colour order and range.
        classes: number of its logits; 1 for a net that gives the log-odds of live itself.
        live: index of live among them.
        weight: share in the fusion, in judgements: how many heads of the net its log-odds are the mean of.
    """

    crops: tuple[CropSpec, ...]
    classes: int
    live: int = 0
    weight: float = 1.0


NETS: Final[Mapping[str, NetSpec]] = {
    "fr_liveness": NetSpec((FR_LIVENESS,), classes=3, live=0),
    "minifasnet_v2": NetSpec((MINIFASNET_V2,), classes=3, live=1),
    "minifasnet_v1se": NetSpec((MINIFASNET_V1SE,), classes=3, live=1),
    "facenox": NetSpec((FACENOX,), classes=2, live=0),
    "livegate_pad": NetSpec((LIVEGATE_TIGHT, LIVEGATE_CONTEXT), classes=1, weight=2.0),
}
"""Nets by their name in the model manifest. Crops and class order were measured, see docs/pad-results."""


@dataclass(frozen=True, slots=True)
class PassiveScore:
    """What the nets say of one picture.

    Attributes:
        log_odds: `fuse` of log(p_live / (1 - p_live)); NaN where any of the nets gave no number.
        llr: calibrated log-likelihood ratio within the calibration's bound; NaN where it is missing.
        probability: posterior of live at equal priors before clipping, in [0, 1], higher is more live; NaN
            where it is missing.
        nets: probability of live by each net alone, in [0, 1].
    """

    log_odds: float
    llr: float
    probability: float
    nets: Mapping[str, float]


Odds = TypeVar("Odds", float, NDArray[np.float64])

MISSING: Final = PassiveScore(math.nan, math.nan, math.nan, {})


def live_log_odds(logits: F32, live: int) -> float:
    """Log-odds of one class under softmax: its logit less the log-sum-exp of the others.

    Args:
        logits: float (k,); a single one is the log-odds already.
        live: index of live.

    Returns:
        Natural log; NaN unless all logits are finite.
    """
    others = [float(value) for value in logits]  # two or three: numpy's calls would cost more than the sum
    if not all(map(math.isfinite, others)):
        return math.nan
    own = others.pop(live)
    if not others:
        return own
    top = max(others)
    return own - top - math.log(math.fsum(math.exp(value - top) for value in others))


def fuse(odds: Mapping[str, Odds], specs: Mapping[str, NetSpec] = NETS) -> Odds:
    """Mean of the nets' log-odds, each net with its weight.

    Weights are set by what a net is and are not fitted: livegate_pad's logit is the mean of a head that
    learnt labels and one that learnt from other nets, so it stands for two judgements.

    Args:
        odds: natural log by name of net: a number, or float64 (n,) for n pictures; NaN makes the result NaN.
        specs: what each net is.
    """
    weights = {name: specs[name].weight for name in odds}
    first, *rest = (value * weights[name] for name, value in odds.items())
    for value in rest:
        first = first + value
    return first / math.fsum(weights.values())


class PassiveNet:
    """One net. Not safe to share between threads.

    Args:
        name: a key of `NETS`.
        path: its ONNX file; inputs float32 (n, 3, size, size), the first output logits (n, classes).
        threads: onnxruntime threads.
        provider: see `make_session`.
        spec: what a net that `NETS` does not know wants and says.

    Raises:
        SettingsError: there is no such net.
        ModelError: the file can't be loaded or is another net.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        threads: int = 1,
        provider: str = "cpu",
        spec: NetSpec | None = None,
    ) -> None:
        if spec is None and name not in NETS:
            raise SettingsError(f"no liveness net is called {name!r}; there are {', '.join(NETS)}")
        self.name = name
        self.spec = spec or NETS[name]
        self._session = make_session(path, threads=threads, provider=provider)
        entries = self._session.get_inputs()
        wanted = [[3, crop.size, crop.size] for crop in self.spec.crops]
        if [list(entry.shape[1:]) for entry in entries] != wanted:
            raise ModelError(f"{path.name} is not {name}: its inputs are not {wanted} after the batch")
        self._planes = {
            entry.name: (crop, np.empty((1, 3, crop.size, crop.size), np.float32))
            for entry, crop in zip(entries, self.spec.crops, strict=True)
        }
        self._output: str = self._session.get_outputs()[0].name

    def log_odds(self, image: Image, box: F32) -> float:
        """Log-odds of live for one face; NaN where the net gives no number.

        Args:
            image: uint8 (height, width, 3), BGR.
            box: float32 (4,), x1 y1 x2 y2 in pixels.

        Raises:
            FrameError: the box has no area or lies outside the picture.
            ModelError: the net's output is not what its entry says.
        """
        feeds = {name: crop_batch(image, [box], crop, out) for name, (crop, out) in self._planes.items()}
        logits = self._session.run([self._output], feeds)[0].reshape(-1)
        if logits.size != self.spec.classes:
            raise ModelError(f"{self.name} gave {logits.size} outputs, not {self.spec.classes}")
        return live_log_odds(logits, self.spec.live)


class PassiveScorer:
    """Nets fused by `fuse`, and their calibration.

    Args:
        nets: the nets, at least one, each once.
        calibration: of exactly these nets.

    Raises:
        SettingsError: no net, a net twice, or a calibration of other nets.
    """

    def __init__(self, nets: Sequence[PassiveNet], calibration: Calibration) -> None:
        names = [net.name for net in nets]
        if not names or len(set(names)) != len(names):
            raise SettingsError("nets must name at least one liveness net, each once")
        if tuple(sorted(names)) != calibration.nets:
            raise SettingsError(
                f"the calibration is for {', '.join(calibration.nets)}, not {', '.join(names)}"
            )
        self.calibration = calibration
        self._nets = tuple(nets)
        self._specs = {net.name: net.spec for net in nets}

    @classmethod
    def load(
        cls,
        store: ModelPaths,
        names: Sequence[str],
        *,
        threads: int = 1,
        provider: str = "cpu",
        site: Path | None = None,
    ) -> PassiveScorer:
        """Load nets by name, and the calibration that came with livegate or a site's own on top of it.

        Args:
            store: gives model files by name.
            names: keys of `NETS`.
            threads: onnxruntime threads for each net.
            provider: see `make_session`.
            site: file of `livegate calibrate`.

        Raises:
            SettingsError: a name is unknown or given twice, there is no calibration for the set, or the
                site's file is wrong or for other nets.
            ModelError: a file is missing or wrong.
        """
        unknown = [name for name in names if name not in NETS]
        if unknown:
            raise SettingsError(f"no liveness net is called {unknown[0]!r}; there are {', '.join(NETS)}")
        calibration = load_calibration(names)
        files = {name: store.path(name) for name in names}
        if site is not None:
            from pipeline.liveness.site import load_site_calibration  # few have one: its models take time

            calibration = load_site_calibration(site, files, calibration)
        return cls(
            [PassiveNet(name, files[name], threads=threads, provider=provider) for name in names], calibration
        )

    def score(self, image: Image, box: F32) -> PassiveScore:
        """Score one face.

        Args:
            image: uint8 (height, width, 3), BGR.
            box: float32 (4,), x1 y1 x2 y2 in pixels, in the detector's convention.

        Raises:
            FrameError: the box has no area or lies outside the picture.
        """
        odds = {net.name: net.log_odds(image, box) for net in self._nets}
        fused = fuse(odds, self._specs)
        return PassiveScore(
            log_odds=fused,
            llr=self.calibration.llr(fused),
            probability=sigmoid(self.calibration.raw(fused)),
            nets={name: sigmoid(value) for name, value in odds.items()},
        )

    def score_image(self, view: View, image: Image) -> PassiveScore:
        """Score the face of a view, a still picture's for instance; `MISSING` where there is none."""
        return MISSING if view.face is None else self.score(image, view.face.box)
