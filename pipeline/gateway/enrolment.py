"""Enrolment: a folder of ``NAME_CERTNUMBER.jpg`` or a CSV becomes persons and templates.

Row by row: a good one is enrolled, a bad one is listed with its reason, and neither stops the others. Reports
and logs name a row by its ordinal and the last two characters of the number, never by name, number or file.
"""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from pipeline.errors import EnrollError, FrameError, UsageError
from pipeline.gateway.authority import Authority, Identity
from pipeline.gateway.faces import Embedder, FaceReading
from pipeline.gateway.picture import PictureLimits, PictureProblem, decode_picture
from pipeline.gateway.scoring import cosine_of
from pipeline.gateway.search import FaceIndex
from pipeline.protocol.cert_number import CertCheck, cert_number_problem, mask_cert_number

log = logging.getLogger("livegate.gateway")

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""

SUFFIXES: Final = (".jpg", ".jpeg", ".png")
COLUMNS: Final = ("name", "certNumber", "path")

PICTURES: Final = PictureLimits(file_bytes=20 * 1024 * 1024)
"""Reference pictures may come straight from a camera."""

MIN_FACE: Final = 56.0
"""Pixels, shorter side of the face box. Below it, most of the net's 112-pixel face would be interpolation."""

DOMINANCE: Final = 2.0
"""The largest face must be this much larger than the next, by the shorter sides of their boxes."""

DUPLICATE_SCORE: Final = 95.0
"""Score from which a face is likely another enrolled person's: the strictest mark of the measured map, with a
false-match rate of about 1e-5 for each enrolled template, so a false alarm in about N / 100,000 of enrolments
among N. It misses about 7 % of real ones (docs/adr/0007, docs/adr/0013)."""


class Duplicates(StrEnum):
    """What a face that is likely enrolled under another number leads to."""

    OFF = "off"
    """Nothing is searched."""
    WARN = "warn"
    """It is enrolled, and its row says so."""
    REFUSE = "refuse"
    """It is not enrolled."""


_SENTENCES: Final = {
    "name_missing": "there is no name",
    "cert_number_missing": "there is no certificate number",
    "cert_number_invalid": "the certificate number fails GB 11643",
    "file_missing": "there is no such .jpg or .png file",
    "not_base64": "the picture can't be read",
    "too_many_bytes": f"the picture is larger than {PICTURES.file_bytes // 1024 // 1024} MB",
    "not_jpeg_or_png": "the file is neither JPEG nor PNG",
    "cut_off": "the picture is cut off",
    "too_small": f"the picture has a side under {PICTURES.min_side} pixels",
    "too_large": f"the picture has more than {PICTURES.max_pixels / 1e6:.1f} million pixels",
    "unreadable": "the picture can't be read",
    "no_face": "no face is found",
    "face_too_small": f"the face is under {MIN_FACE:.0f} pixels wide",
    "several_faces": f"no face is at least {DOMINANCE:.0f} times as large as every other",
    "other_name": "this number is enrolled under another name",
    "likely_duplicate": "this face is likely enrolled under another number",
}
"""Reasons of bad rows, for a person."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One row to enrol.

    Attributes:
        ordinal: its line in the CSV (the header is 1), or its place among the folder's sorted pictures.
        name: as given.
        cert_number: as given.
        path: the picture, or None where the row names none.
    """

    ordinal: int
    name: str = field(repr=False)
    cert_number: str = field(repr=False)
    path: Path | None = field(repr=False)

    def __repr__(self) -> str:
        return f"Entry({self.ordinal})"


@dataclass(frozen=True, slots=True)
class EnrolledRow:
    """What became of one row. Free of personal data.

    Attributes:
        ordinal: as in `Entry`.
        masked_number: the number's last two characters, the others as ``*``.
        reason: stable word, or None where it was enrolled.
        warning: ``cert_number_invalid`` where it was enrolled all the same, else None.
        duplicates: other enrolled people whom the face is likely to be, 10 at most.
        same_as: ordinals of those among them that this run enrolled.
    """

    ordinal: int
    masked_number: str
    reason: str | None = None
    warning: str | None = None
    duplicates: int = 0
    same_as: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """The reason for a person, or an empty text."""
        return _SENTENCES[self.reason] if self.reason else ""

    @property
    def duplicate_sentence(self) -> str:
        """That it is likely a duplicate, for a person, or an empty text."""
        if not self.duplicates:
            return ""
        rows = ", ".join(map(str, self.same_as))
        return _SENTENCES["likely_duplicate"] + (f" (row {rows} of this run)" if rows else "")


@dataclass(frozen=True, slots=True)
class EnrollReport:
    """What became of every row, in their order.

    Attributes:
        rows: one for each row of the folder or CSV.
        seconds: how long it took.
    """

    rows: tuple[EnrolledRow, ...]
    seconds: float

    @property
    def enrolled(self) -> int:
        """Rows with a template now."""
        return sum(row.reason is None for row in self.rows)

    @property
    def failed(self) -> tuple[EnrolledRow, ...]:
        """Rows without."""
        return tuple(row for row in self.rows if row.reason is not None)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "event": "enrolled",
            "enrolled": self.enrolled,
            "failed": [
                {"row": row.ordinal, "number": row.masked_number, "reason": row.reason} for row in self.failed
            ],
            "likely_duplicates": [
                {
                    "row": row.ordinal,
                    "number": row.masked_number,
                    "people": row.duplicates,
                    "same_as_rows": list(row.same_as),
                }
                for row in self.rows
                if row.duplicates
            ],
            "warnings": [
                {"row": row.ordinal, "number": row.masked_number, "warning": row.warning}
                for row in self.rows
                if row.warning
            ],
        }


def enroll(
    path: Path,
    authority: Authority,
    embedder: Embedder,
    *,
    cert_check: CertCheck = CertCheck.WARN,
    duplicates: Duplicates = Duplicates.WARN,
    progress: Progress | None = None,
    now: Callable[[], float] = time.time,
) -> EnrollReport:
    """Enrol every row of a folder or a CSV.

    A person's templates from before are revoked by the first good row; further rows of the same person in the
    same run are added. The pictures themselves are not kept.

    Args:
        path: a folder of ``NAME_CERTNUMBER.jpg`` or ``.png``, or a CSV file with the columns ``name``,
            ``certNumber`` and ``path`` (relative to the CSV), UTF-8 with or without byte-order mark.
        authority: where they are enrolled.
        embedder: gives the templates.
        cert_check: what a number that fails GB 11643 leads to.
        duplicates: what a face leads to that is likely enrolled under another number, see `DUPLICATE_SCORE`.
            Search and enrolment are one step: of two processes with one face the second finds the first's.
        progress: told after each row.
        now: seconds since 1970.

    Returns:
        The report; its rows are as many as the folder's pictures or the CSV's lines.

    Raises:
        UsageError: there is no such folder or CSV.
        EnrollError: the folder holds no picture, or the CSV is not one at all.
        StoreError: the database can't be written; rows before that are enrolled.
    """
    started = time.perf_counter()
    entries = list(read_entries(path))
    rows: list[EnrolledRow] = []
    index = None if duplicates is Duplicates.OFF else FaceIndex(authority, embedder.model)
    batch = _Batch(authority, embedder, cert_check, index, refuse=duplicates is Duplicates.REFUSE)
    for entry in entries:
        row = batch.enroll(entry, now())
        if row.reason is not None:
            log.warning("row %d is not enrolled: %s", row.ordinal, row.reason)
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(entries))
    return EnrollReport(tuple(rows), time.perf_counter() - started)


def read_entries(path: Path) -> Iterator[Entry]:
    """The rows of a folder or CSV, without a look at the pictures.

    Raises:
        UsageError: there is no such folder or CSV.
        EnrollError: the folder holds no picture, or the CSV is not one at all.
    """
    if path.is_dir():
        return iter(_folder(path))
    if path.is_file():
        return iter(_table(path))
    raise UsageError("there is no such folder or CSV file", hint="Check the path.")


def _folder(path: Path) -> list[Entry]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise EnrollError("the folder holds no .jpg or .png", hint="Name the files NAME_CERTNUMBER.jpg.")
    entries = []
    for ordinal, file in enumerate(files, 1):
        name, _, number = file.stem.rpartition("_")
        entries.append(Entry(ordinal, name, number, file))
    return entries


def _table(path: Path) -> list[Entry]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise EnrollError("the CSV is not UTF-8", hint='Save it as "CSV UTF-8".') from None
    except OSError as error:
        raise EnrollError(f"the CSV can't be read: {type(error).__name__}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        missing = set(COLUMNS) - {name.strip() for name in reader.fieldnames or ()}
        if missing:
            raise EnrollError(
                f"the CSV's first line does not name {', '.join(sorted(missing))}",
                hint=f"Its first line must be {','.join(COLUMNS)}.",
            )
        entries = []
        for line in reader:
            cells = {str(key).strip(): (value or "") for key, value in line.items() if isinstance(value, str)}
            file = cells.get("path", "").strip()
            picture = path.parent / file if file else None
            entries.append(
                Entry(reader.line_num, cells.get("name", ""), cells.get("certNumber", ""), picture)
            )
    except csv.Error:
        raise EnrollError(f"the CSV can't be read near line {reader.line_num}") from None
    if not entries:
        raise EnrollError("the CSV has no rows")
    return entries


class _DuplicateError(Exception):
    """Rolls the enrolment back; never leaves this module."""


class _Batch:
    """One run over a folder or CSV."""

    def __init__(
        self,
        authority: Authority,
        embedder: Embedder,
        cert_check: CertCheck,
        index: FaceIndex | None,
        *,
        refuse: bool,
    ) -> None:
        self._authority = authority
        self._embedder = embedder
        self._cert_check = cert_check
        self._index = index
        self._refuse = refuse
        self._at_least = cosine_of(DUPLICATE_SCORE)
        self._templates: dict[Identity, list[str]] = {}
        self._ordinals: dict[str, int] = {}

    def enroll(self, entry: Entry, now: float) -> EnrolledRow:
        """Enrol one row, or say why not."""
        identity = Identity.of(entry.name, entry.cert_number)
        masked = mask_cert_number(entry.cert_number)
        warning = None
        if self._cert_check is not CertCheck.OFF and cert_number_problem(entry.cert_number) is not None:
            warning = "cert_number_invalid"
        reason = None
        if not identity.name:
            reason = "name_missing"
        elif not identity.cert_number:
            reason = "cert_number_missing"
        elif self._cert_check is CertCheck.STRICT:
            reason = warning
        face = reason or _face(entry.path, self._embedder)
        if isinstance(face, str):
            return EnrolledRow(entry.ordinal, masked, face, warning)
        found: dict[str, list[int]] = {}
        try:
            self._store(entry.ordinal, identity, face, found, now)
        except _DuplicateError:
            reason = "likely_duplicate"
        except EnrollError:
            return EnrolledRow(entry.ordinal, masked, "other_name", warning)
        same_as = sorted({ordinal for ordinals in found.values() for ordinal in ordinals})
        return EnrolledRow(entry.ordinal, masked, reason, warning, len(found), tuple(same_as))

    def _store(
        self,
        ordinal: int,
        identity: Identity,
        face: FaceReading,
        found: dict[str, list[int]],
        now: float,
    ) -> None:
        def search(session: Session, person_id: str) -> None:
            if self._index is None:
                return
            for like in self._index.find(face.embedding, self._at_least, exclude=person_id, session=session):
                rows = found.setdefault(like.person_id, [])
                if like.template_id in self._ordinals:
                    rows.append(self._ordinals[like.template_id])
            if found and self._refuse:
                raise _DuplicateError

        kept = self._templates.setdefault(identity, [])
        template_id = self._authority.enroll(
            identity, face.embedding, self._embedder.model, now=now, keep=kept, check=search
        )
        kept.append(template_id)
        self._ordinals[template_id] = ordinal


def _face(path: Path | None, embedder: Embedder) -> FaceReading | str:
    """The one face of a picture that is good enough as a reference, or why there is none."""
    try:
        if path is None or path.suffix.lower() not in SUFFIXES:
            return "file_missing"
        if path.stat().st_size > PICTURES.file_bytes:
            return str(PictureProblem.TOO_MANY_BYTES)
        image = decode_picture(path.read_bytes(), PICTURES)
    except OSError:
        return "file_missing"
    if isinstance(image, PictureProblem):
        return str(image)
    try:
        face = embedder.read(image)
    except FrameError:
        return str(PictureProblem.UNREADABLE)
    if face is None:
        return "no_face"
    if face.size < MIN_FACE:
        return "face_too_small"
    if face.faces > 1 and face.size < DOMINANCE * face.runner_up:
        return "several_faces"
    return face
