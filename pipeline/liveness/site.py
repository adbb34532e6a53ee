"""A site's own calibration: a file that `livegate calibrate` wrote, and the floor beneath it.

The file's line, bound, correlation and targets take the place of the shipped ones, for exactly the nets
whose bytes it was fitted with. It is a file on a disk, so nothing that it says is trusted to loosen the gate
without end: `SiteCalibration` never gives a score a higher ratio than the shipped calibration does plus a
slack, and never less correlation between frames. With the slack

    slack = rho * log(FLOOR_APCER / target_apcer)

a check that passes has, by the shipped line and with the same correlation, a sum of at least
``log((1 - beta) / FLOOR_APCER)``: it would have passed with the shipped calibration at the loosest APCER that
settings may ask for. Proof: the sum is ``sum(w_i llr_i) / (1 + (W - 1) rho)`` with ``W = sum(w_i) >= 1``; the
slack adds ``W rho / (1 + (W - 1) rho) <= 1`` times ``log(FLOOR_APCER / target_apcer)`` to it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import SettingsError
from pipeline.liveness.calibration import Calibration, key_of
from pipeline.liveness.decision import APCER_CEILING

KIND: Final = "livegate-site-calibration"
SITE_VERSION: Final = 1
FLOOR_APCER: Final = APCER_CEILING
"""A site's file can make nothing pass that the shipped calibration would refuse at this wanted APCER: the
loosest that settings could ask for without a file, see `pipeline.liveness.decision.APCER_CEILING`."""
MAX_BYTES: Final = 2**20
_HINT: Final = "Make the file again with `livegate calibrate`, or leave the setting `calibration` out."


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetMark(_Form):
    """A net by name and by its file's bytes."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Counted(_Form):
    """A counted rate with its exact 95 % interval (Clopper-Pearson).

    Attributes:
        errors, n: presentations.
        ci95: low and high end; None where nothing was tried.
        subjects_with_errors, subjects: people with one error or more, of all people.
        subjects_ci95: the exact interval of the share of people.
    """

    errors: int = Field(ge=0)
    n: int = Field(ge=0)
    ci95: tuple[float, float] | None
    subjects_with_errors: int = Field(ge=0)
    subjects: int = Field(ge=0)
    subjects_ci95: tuple[float, float] | None


class Part(_Form):
    """One half of the recordings and what the decision says of it.

    Attributes:
        live, attacks: presentations: videos, and pictures grouped by subject, species and group.
        files: files in it.
        live_subjects, attack_subjects: people.
        no_response: presentations without a frame that could be judged; they count as not accepted.
        bpcer: live presentations that do not pass: refused or undecided.
        refused: live presentations that are refused as an attack.
        apcer: attack presentations that pass, by species.
    """

    live: int = Field(ge=0)
    attacks: int = Field(ge=0)
    files: int = Field(ge=0)
    live_subjects: int = Field(ge=0)
    attack_subjects: int = Field(ge=0)
    no_response: int = Field(ge=0)
    bpcer: Counted
    refused: Counted
    apcer: Mapping[str, Counted]


class Correlation(_Form):
    """What was measured of frames in time, and what stands in the file.

    Attributes:
        measured: whether the site's videos were enough.
        rho, tau_s: as measured; None otherwise.
        clips: videos that it was measured on.
    """

    measured: bool
    rho: float | None
    tau_s: float | None
    clips: int = Field(ge=0)


class SiteProvenance(_Form):
    """Where a site's numbers come from; it names no person, no folder and no machine.

    Attributes:
        tool: the program.
        tool_version: and its version.
        date: ISO 8601, UTC.
        manifest_sha256: of the list of recordings.
        shipped_sha256: of the shipped calibration that stands beneath.
        seed: of the split by subject.
        mode: ``fitted``; or ``live_only``, where no attack was given and only BPCER could be checked.
        species: attack presentations by species, in both parts.
        fit: the part that was fitted on; None where nothing was.
        check: the part that was not.
        correlation: of frames.
        notes: what a reader has to know.
    """

    tool: str
    tool_version: str
    date: str
    manifest_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    shipped_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    seed: int
    mode: Literal["fitted", "live_only"]
    species: Mapping[str, int]
    fit: Part | None
    check: Part
    correlation: Correlation
    notes: tuple[str, ...] = ()


class SiteFile(_Form):
    """The file's form; see `Calibration` and `DecisionLimits` for the numbers."""

    kind: Literal["livegate-site-calibration"]
    version: int
    nets: tuple[NetMark, ...] = Field(min_length=1)
    slope: float = Field(gt=0)
    intercept: float
    bound: float = Field(gt=0)
    rho: float = Field(gt=0, le=1)
    tau_s: float = Field(gt=0)
    target_apcer: float = Field(gt=0, le=FLOOR_APCER)
    target_bpcer: float = Field(gt=0, lt=0.5)
    provenance: SiteProvenance


@dataclass(frozen=True, slots=True)
class SiteCalibration(Calibration):
    """A site's calibration on the floor of the shipped one.

    Attributes:
        shipped: the calibration of the same nets that came with livegate.
        target_apcer, target_bpcer: the thresholds of the file; settings can only ask for less.
        manifest_sha256: of the list of recordings that it was fitted on.
    """

    shipped: Calibration
    target_apcer: float
    target_bpcer: float
    manifest_sha256: str = ""

    @property
    def slack(self) -> float:
        """Natural log by which a ratio may lie above the shipped one; 0 or more."""
        return self.rho * math.log(FLOOR_APCER / self.target_apcer)

    @property
    def largest(self) -> float:
        """Largest absolute ratio that it gives."""
        return max(self.bound, self.shipped.bound)

    def raw(self, log_odds: float) -> float:
        """Ratio before clipping, never above the shipped one plus `slack`; NaN for what is not finite."""
        own = Calibration.raw(self, log_odds)
        return own if math.isnan(own) else min(own, self.shipped.raw(log_odds) + self.slack)

    def llr(self, log_odds: float) -> float:
        """Ratio within the bound, never above the shipped one plus `slack`; NaN for what is not finite."""
        own = Calibration.llr(self, log_odds)
        return own if math.isnan(own) else min(own, self.shipped.llr(log_odds) + self.slack)

    def targets(self, apcer: float, bpcer: float) -> tuple[float, float]:
        """The smaller of what the settings and the file want."""
        return min(apcer, self.target_apcer), min(bpcer, self.target_bpcer)


def load_site_calibration(path: Path, files: Mapping[str, Path], shipped: Calibration) -> SiteCalibration:
    """Read a site's file for the nets in use.

    Args:
        path: the file.
        files: the nets' ONNX files by name; their SHA-256 must be the file's.
        shipped: the calibration of the same nets that came with livegate.

    Raises:
        SettingsError: it can't be read, is no such file, of another version, or for other nets or other
            bytes. The message shows nothing of its content.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SettingsError("calibration: the file is too large to be one", hint=_HINT)
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"calibration: the file can't be read: {type(error).__name__}", hint=_HINT
        ) from None
    file = parse_site_file(text)
    if key_of(net.name for net in file.nets) != key_of(files) or len(file.nets) != len(files):
        raise SettingsError(f"calibration: the file is not for the nets {key_of(files)}", hint=_HINT)
    for net in file.nets:
        if net.sha256 != sha256_of(files[net.name]):
            raise SettingsError(
                f"calibration: the file was fitted with another {net.name} than the one in use", hint=_HINT
            )
    return on_floor(file, shipped)


def parse_site_file(text: str) -> SiteFile:
    """Check and read a file's JSON.

    Raises:
        SettingsError: it is no such file, or of another version.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError("calibration: the file is not JSON", hint=_HINT) from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise SettingsError("calibration: the file is no site calibration", hint=_HINT)
    if data.get("version") != SITE_VERSION:
        raise SettingsError(f"calibration: the file is not of version {SITE_VERSION}", hint=_HINT)
    try:
        return SiteFile.model_validate(data)
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"][:2]))
        raise SettingsError(f"calibration: the file is wrong at {where}", hint=_HINT) from None


def on_floor(file: SiteFile, shipped: Calibration) -> SiteCalibration:
    """The file's numbers on the floor of the shipped calibration; correlation can only be raised."""
    return SiteCalibration(
        nets=shipped.nets,
        slope=file.slope,
        intercept=file.intercept,
        bound=file.bound,
        rho=max(file.rho, shipped.rho),
        tau_s=max(file.tau_s, shipped.tau_s),
        provenance=shipped.provenance,
        shipped=shipped,
        target_apcer=file.target_apcer,
        target_bpcer=file.target_bpcer,
        manifest_sha256=file.provenance.manifest_sha256,
    )


def digest(calibration: Calibration) -> str:
    """SHA-256 of what a calibration says, for provenance."""
    numbers = [calibration.nets, calibration.slope, calibration.intercept, calibration.bound]
    numbers += [calibration.rho, calibration.tau_s, calibration.provenance.date]
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


def marks(files: Mapping[str, Path]) -> tuple[NetMark, ...]:
    """Nets with the digests of their files, by name."""
    return tuple(NetMark(name=name, sha256=sha256_of(files[name])) for name in sorted(files))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SettingsError(f"calibration: {path.name} can't be read: {type(error).__name__}") from None
