"""From a fused net score to a log-likelihood ratio: a fitted line, a bound, and where both come from.

``llr = clip(slope * log_odds + intercept, -bound, bound)``, natural logs. It is Platt's logistic calibration
(J. Platt, 1999) fitted with equal weight for both classes, so that the prior is out of it. The bound is
``log(n + 1)`` with n independent attacks in the data of the fit: one more attack than were seen may score
anywhere, so no score can be better evidence than n + 1 to 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import SettingsError

VERSION: Final = 1
FOLDER: Final = "calibrations"


class Provenance(BaseModel):
    """What a calibration was fitted on.

    Attributes:
        data: names of the data sets.
        subjects: people (or clusters of alike faces where nobody is named) in the fit.
        live_pictures: live pictures in the fit.
        attack_pictures: attack pictures in the fit.
        attacks: independent attack presentations in the fit; the bound comes from it.
        clips: clips that rho and tau_s were measured on.
        command: what makes this file again.
        date: of the fit, ISO 8601.
        notes: anything a reader should know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: tuple[str, ...]
    subjects: int = Field(ge=1)
    live_pictures: int = Field(ge=1)
    attack_pictures: int = Field(ge=1)
    attacks: int = Field(ge=1)
    clips: int = Field(ge=0)
    command: str
    date: str
    notes: str = ""


class CalibrationFile(BaseModel):
    """The file's form; see `Calibration` for the numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    nets: tuple[str, ...] = Field(min_length=1)
    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)
    bound: float = Field(gt=0, allow_inf_nan=False)
    rho: float = Field(gt=0, le=1)
    tau_s: float = Field(gt=0, allow_inf_nan=False)
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted calibration of one set of nets.

    Attributes:
        nets: names of the nets whose mean log-odds it takes, sorted.
        slope: above 0.
        intercept: natural log.
        bound: largest absolute ratio that the data can carry, natural log.
        rho: share of the variance that lies between checks, in (0, 1].
        tau_s: correlation time within a check, seconds.
        provenance: where the numbers come from.
    """

    nets: tuple[str, ...]
    slope: float
    intercept: float
    bound: float
    rho: float
    tau_s: float
    provenance: Provenance

    @property
    def largest(self) -> float:
        """Largest absolute ratio that it gives."""
        return self.bound

    def raw(self, log_odds: float) -> float:
        """Log-likelihood ratio before clipping; NaN for anything that is not a finite number."""
        return self.slope * log_odds + self.intercept if math.isfinite(log_odds) else math.nan

    def llr(self, log_odds: float) -> float:
        """Log-likelihood ratio of live over spoof within the bound; NaN for what is not a finite number."""
        raw = Calibration.raw(self, log_odds)
        return raw if math.isnan(raw) else min(self.bound, max(-self.bound, raw))

    def targets(self, apcer: float, bpcer: float) -> tuple[float, float]:
        """Error rates that the decision is held to, given the settings'; a site's file can lower them."""
        return apcer, bpcer


def key_of(nets: Iterable[str]) -> str:
    """File stem of a set of nets: their names sorted and joined by ``+``."""
    return "+".join(sorted(nets))


def load_calibration(nets: Iterable[str], folder: Path | None = None) -> Calibration:
    """Read the calibration of a set of nets.

    Args:
        nets: names; the order does not matter.
        folder: where the files lie; the package's own when left out.

    Raises:
        SettingsError: there is none for this set, or it is not a calibration. Without one nothing is judged.
    """
    key = key_of(nets)
    root = resources.files("pipeline.liveness") / FOLDER if folder is None else folder
    try:
        text = (root / f"{key}.json").read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"no calibration for the nets {key}",
            hint="Name nets that have one together, or fit one with `python -m benchmarks.pad_stills fit`.",
        ) from error
    return parse_calibration(text, key)


def parse_calibration(text: str, key: str) -> Calibration:
    """Check and read a calibration's JSON.

    Raises:
        SettingsError: it is of another version or form, or for other nets than ``key`` names.
    """
    try:
        file = CalibrationFile.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise SettingsError(f"the calibration {key} can't be read") from error
    if file.version != VERSION or key_of(file.nets) != key:
        raise SettingsError(f"the calibration {key} is of another version or for other nets")
    return Calibration(
        nets=tuple(sorted(file.nets)),
        slope=file.slope,
        intercept=file.intercept,
        bound=file.bound,
        rho=file.rho,
        tau_s=file.tau_s,
        provenance=file.provenance,
    )
