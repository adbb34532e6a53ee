"""`FaceIndex`: is this face enrolled already, under whatever number? Exact, in memory (docs/adr/0013).

Templates are encrypted at rest, so no database can search them. This index opens every active template of one
net once, and then follows the numbered changes that any process makes.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.errors import EnrollError
from pipeline.gateway.authority import F32, Authority, EmbeddingModel
from pipeline.gateway.schema import TemplateRow

BLOCK: Final = 8192
"""Templates that are compared in one product: 16 MB of 512 float32, which bounds what a search allocates."""

_CHUNK: Final = 2000
_FIRST_CAPACITY: Final = 1024


@dataclass(frozen=True, slots=True)
class Likeness:
    """One enrolled template that is like a face.

    Attributes:
        person_id: whose it is.
        template_id: which one.
        cosine: similarity in [-1, 1].
    """

    person_id: str
    template_id: str
    cosine: float


class FaceIndex:
    """The active templates of one net, searched all of them. Safe to share between threads.

    It is filled by the first search. The templates are in clear in this process's memory, and nowhere else.

    Args:
        authority: whose templates.
        model: the net that made them; templates of others are not comparable.
    """

    def __init__(self, authority: Authority, model: EmbeddingModel) -> None:
        self._authority = authority
        self._model = model
        self._lock = threading.Lock()
        self._change = -1
        self._expected = 0
        self._matrix: F32 = np.empty((0, 0), np.float32)
        self._owners: NDArray[np.int64] = np.empty(0, np.int64)
        self._templates: list[str] = []
        self._rows: dict[str, int] = {}
        self._people: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        """Templates in it, as of the last search."""
        return len(self._templates)

    def find(
        self,
        embedding: F32,
        at_least: float,
        *,
        exclude: str = "",
        most: int = 10,
        session: Session | None = None,
    ) -> list[Likeness]:
        """Find the templates of other people that are like a face, the most like one first.

        Args:
            embedding: float32 (d,), unit length.
            at_least: lowest cosine that counts.
            exclude: id of the person whose own templates don't count.
            most: how many to tell at most.
            session: the transaction to read in, for `Authority.enroll`'s ``check``: under its lock nobody
                else can enrol between the search and the writing. A transaction of its own if left out.

        Raises:
            EnrollError: the embedding is not finite, so it is like nothing and proves nothing.
            StoreError: a template does not open with the authority's key.
        """
        if not np.isfinite(embedding).all():
            raise EnrollError("the face's template is not finite")
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._lock)
            reader = session or stack.enter_context(self._authority.store.read())
            self._follow(reader)
            cosines, rows = self._nearest(embedding, most, self._numbers.get(exclude, -1))
            like = cosines >= at_least
            found = [
                Likeness(self._people[self._owners[row]], self._templates[row], float(cosine))
                for cosine, row in zip(cosines[like], rows[like], strict=True)
            ]
            if not found:
                return []
            # A row that was deleted outright left no change behind, so what is told is looked up once more.
            told = select(TemplateRow.id).where(TemplateRow.id.in_([each.template_id for each in found]))
            there = set(reader.scalars(told))
            return [each for each in found if each.template_id in there]

    def _nearest(self, query: F32, most: int, owner: int) -> tuple[F32, NDArray[np.int64]]:
        """Cosines and rows of the most like templates that are not this owner's, in falling order."""
        count = len(self._templates)
        cosines = np.empty(0, np.float32)
        rows = np.empty(0, np.int64)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            block = self._matrix[start:stop] @ query
            block[self._owners[start:stop] == owner] = -np.inf
            best = np.argpartition(block, -most)[-most:] if len(block) > most else np.arange(len(block))
            cosines = np.concatenate([cosines, block[best]])
            rows = np.concatenate([rows, best + start])
        order = np.argsort(-cosines, kind="stable")[:most]
        return cosines[order], rows[order]

    def _follow(self, session: Session) -> None:
        """Take in what changed since the last time; at first, everything that is active.

        Who changes templates holds a lock until it commits, so no change becomes visible after a later one.
        """
        query = (
            select(
                TemplateRow.id,
                TemplateRow.person_id,
                TemplateRow.data,
                TemplateRow.revoked_at,
                TemplateRow.change,
            )
            .where(TemplateRow.model == self._model.name, TemplateRow.model_sha256 == self._model.sha256)
            .where(TemplateRow.change > self._change)
            .execution_options(yield_per=_CHUNK)
        )
        if self._change < 0:
            active = TemplateRow.revoked_at.is_(None)
            query = query.where(active)
            self._expected = session.scalar(select(func.count()).select_from(TemplateRow).where(active)) or 0
        newest = max(self._change, 0)
        with contextlib.closing(session.execute(query)) as changes:
            for template_id, person_id, data, revoked_at, change in changes:
                if revoked_at is None and data is not None:
                    self._add(template_id, person_id, data)
                else:
                    self._remove(template_id)
                newest = max(newest, change)
        self._change = newest

    def _add(self, template_id: str, person_id: str, data: bytes) -> None:
        vector = self._authority.vector(data, template_id, person_id, self._model)
        row = self._rows.setdefault(template_id, len(self._templates))
        if row == len(self._templates):
            self._templates.append(template_id)
            if row == len(self._matrix):
                self._grow(len(vector))
        number = self._numbers.setdefault(person_id, len(self._people))
        if number == len(self._people):
            self._people.append(person_id)
        self._matrix[row] = vector
        self._owners[row] = number

    def _remove(self, template_id: str) -> None:
        """The last row takes the place of the one that goes."""
        row = self._rows.pop(template_id, None)
        if row is None:
            return
        last = len(self._templates) - 1
        moved = self._templates.pop()
        if row != last:
            self._matrix[row], self._owners[row] = self._matrix[last], self._owners[last]
            self._templates[row] = moved
            self._rows[moved] = row
        self._matrix[last] = 0

    def _grow(self, width: int) -> None:
        # Room for a tenth more, so that the first new template does not copy a filled matrix.
        capacity = int(max(1.1 * self._expected, 1.5 * len(self._matrix), _FIRST_CAPACITY)) + 1
        matrix, owners = np.zeros((capacity, width), np.float32), np.full(capacity, -1, np.int64)
        if used := len(self._matrix):
            matrix[:used], owners[:used] = self._matrix, self._owners
        self._matrix, self._owners = matrix, owners

    def __repr__(self) -> str:
        return f"FaceIndex({len(self)} templates)"
