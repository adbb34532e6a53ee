"""`Authority`: who is enrolled, with which templates. Knows people by keyed digests only.

Reference pictures are not kept in this version: a new embedding net needs a new enrolment.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.errors import EnrollError, StoreError
from pipeline.gateway.schema import Meta, PersonRow, TemplateHead, TemplateRow
from pipeline.gateway.store import Store
from pipeline.gateway.vault import Vault
from pipeline.protocol.cert_number import normalize_cert_number

F32 = NDArray[np.float32]

_FINGERPRINT: Final = "key_fingerprint"
# Separators of transliterated names that input methods write in different ways, and the one they stand for.
_DOTS: Final = str.maketrans(dict.fromkeys("•‧∙⋅・･", "·"))


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """The net that made a template. Templates of two nets, or of two files of one, are not comparable.

    Attributes:
        name: name in the model manifest.
        sha256: digest of the model file, 64 hex digits.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A name and certificate number as claimed. Not in the repr.

    Attributes:
        name: in its one written form, see `normalize_name`.
        cert_number: in its one written form, see `normalize_cert_number`.
    """

    name: str = field(repr=False)
    cert_number: str = field(repr=False)

    @classmethod
    def of(cls, name: str, cert_number: str) -> Identity:
        """Bring both into their one written form."""
        return cls(normalize_name(name), normalize_cert_number(cert_number))

    def __repr__(self) -> str:
        return "Identity(...)"


def normalize_name(name: str) -> str:
    """NFKC, one kind of middle dot, single spaces, none at the ends. Case is kept."""
    return " ".join(unicodedata.normalize("NFKC", name).translate(_DOTS).split())


class Authority:
    """Enrolled people and their templates.

    Args:
        store: open database.
        vault: the master key's work.

    Raises:
        StoreError: the key is not the one that this database was made with.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self.store = store
        self.vault = vault
        self._claim_database()

    def find(self, identity: Identity) -> str | None:
        """Look a person up by number and name together.

        One look-up of one digest over both: its time can't tell a wrong name from an unknown number.

        Returns:
            The person's id, or None.
        """
        query = select(PersonRow.id).where(PersonRow.pair_digest == self._pair_digest(identity))
        with self.store.read() as session:
            return session.scalar(query)

    def templates(self, person_id: str, model: EmbeddingModel) -> F32 | None:
        """The person's active templates of one model file.

        Returns:
            float32 (n, d), unit rows; None where there is none.

        Raises:
            StoreError: a template does not open with the authority's key.
        """
        query = select(TemplateRow).where(*_active(person_id, model))
        with self.store.read() as session:
            rows = session.scalars(query).all()
        vectors = [self.vector(row.data, row.id, person_id, model) for row in rows if row.data is not None]
        return np.stack(vectors) if vectors else None

    def vector(self, data: bytes, template_id: str, person_id: str, model: EmbeddingModel) -> F32:
        """Open one sealed template.

        Returns:
            float32 (d,), unit length.

        Raises:
            StoreError: it does not open with the authority's key, or was moved to another row.
        """
        return np.frombuffer(self.vault.open(data, _place(template_id, person_id, model)), "<f4")

    def enroll(
        self,
        identity: Identity,
        embedding: F32,
        model: EmbeddingModel,
        *,
        now: float,
        keep: Sequence[str] = (),
        check: Callable[[Session, str], None] | None = None,
    ) -> str:
        """Add a template, and the person where the number is new; revoke the model's older templates.

        Args:
            identity: whose face it is.
            embedding: float32 (d,), unit length.
            model: the net that made it.
            now: seconds since 1970.
            keep: ids of templates that stay beside the new one, those of the same batch for instance.
            check: called with the transaction and the person's id before the template is written. No other
                process can change a template meanwhile. What it raises undoes the enrolment.

        Returns:
            The new template's id.

        Raises:
            EnrollError: the number is enrolled under another name.
            StoreError: the database can't be written.
        """
        template_id = uuid.uuid4().hex
        try:
            with self.store.write() as session:
                change = next_change(session)
                person_id = self._person(session, identity, int(now))
                if check is not None:
                    check(session, person_id)
                session.execute(
                    update(TemplateRow)
                    .where(*_active(person_id, model), TemplateRow.id.not_in(keep))
                    .values(revoked_at=int(now), data=None, change=change)
                )
                sealed = self.vault.seal(
                    embedding.astype("<f4").tobytes(), _place(template_id, person_id, model)
                )
                session.add(
                    TemplateRow(
                        id=template_id,
                        person_id=person_id,
                        model=model.name,
                        model_sha256=model.sha256,
                        data=sealed,
                        created_at=int(now),
                        revoked_at=None,
                        change=change,
                    )
                )
        except IntegrityError:
            raise StoreError("another process enrolled the same person at the same time") from None
        return template_id

    def revoke(self, identity: Identity, *, now: float) -> int:
        """Revoke every template of a person: the bytes are erased, the rows stay.

        Returns:
            How many were active.
        """
        with self.store.write() as session:
            change = next_change(session)
            person = session.scalar(
                select(PersonRow).where(PersonRow.pair_digest == self._pair_digest(identity))
            )
            if person is None:
                return 0
            rows = session.scalars(
                select(TemplateRow).where(
                    TemplateRow.person_id == person.id, TemplateRow.revoked_at.is_(None)
                )
            ).all()
            for row in rows:
                row.revoked_at, row.data, row.change = int(now), None, change
            return len(rows)

    def _person(self, session: Session, identity: Identity, now: int) -> str:
        cert_digest = self.vault.digest("certificate number", identity.cert_number)
        pair_digest = self._pair_digest(identity)
        person = session.scalar(select(PersonRow).where(PersonRow.cert_digest == cert_digest))
        if person is None:
            person = PersonRow(
                id=uuid.uuid4().hex, cert_digest=cert_digest, pair_digest=pair_digest, created_at=now
            )
            session.add(person)
            session.flush()
        elif person.pair_digest != pair_digest:
            raise EnrollError("this certificate number is enrolled under another name")
        return person.id

    def _pair_digest(self, identity: Identity) -> str:
        return self.vault.digest("identity", identity.cert_number, identity.name)

    def _claim_database(self) -> None:
        """The first key to open a database is its key; every other is refused."""
        found = _fingerprint(self.store)
        if found is None:
            try:
                with self.store.write() as session:
                    session.add(Meta(name=_FINGERPRINT, value=self.vault.fingerprint))
            except IntegrityError:
                pass  # another process claimed it meanwhile
        self.check_key()

    def check_key(self) -> None:
        """See that the key is the one that the database was made with.

        Raises:
            StoreError: it is not, or the database does not answer.
        """
        if _fingerprint(self.store) != self.vault.fingerprint:
            raise StoreError(
                "the authority's key is not the one that this database was made with",
                hint="Bring back the key file that belongs to the database, or start with a new database.",
            )

    def __repr__(self) -> str:
        return f"Authority({self.store!r})"


def is_claimed(store: Store) -> bool:
    """True where a key belongs to this database already, so that no new one may be made for it."""
    return _fingerprint(store) is not None


def _fingerprint(store: Store) -> str | None:
    with store.read() as session:
        return session.scalar(select(Meta.value).where(Meta.name == _FINGERPRINT))


def next_change(session: Session) -> int:
    """Number the change of templates that this transaction makes; others wait until it ends."""
    where = TemplateHead.id == 1
    raised = update(TemplateHead).where(where).values(change=TemplateHead.change + 1)
    session.execute(raised, execution_options={"synchronize_session": False})
    return last_change(session)


def last_change(session: Session) -> int:
    """Number of the last change of any template that this transaction can see.

    Raises:
        StoreError: the database lost the row that the migrations made.
    """
    found = session.scalar(select(TemplateHead.change).where(TemplateHead.id == 1))
    if found is None:
        raise StoreError("the database lost the count of its templates' changes")
    return found


def _active(person_id: str, model: EmbeddingModel) -> tuple[ColumnElement[bool], ...]:
    return (
        TemplateRow.person_id == person_id,
        TemplateRow.model == model.name,
        TemplateRow.model_sha256 == model.sha256,
        TemplateRow.revoked_at.is_(None),
    )


def _place(template_id: str, person_id: str, model: EmbeddingModel) -> str:
    return f"template {template_id} {person_id} {model.name} {model.sha256}"
