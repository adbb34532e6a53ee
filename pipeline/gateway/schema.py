"""Tables of the authority. No column holds a name, a certificate number, a picture or a secret in clear.

Times are integer seconds since 1970 (UTC). Digests are hex. Migrations live in `pipeline.gateway.migrations`;
a test holds them to these classes.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_ID = String(32)
_DIGEST = String(64)
LONGEST_BLOB = 2**24 - 1
"""Bytes of the largest column. MySQL picks the column by this; its usual one ends at 64 KiB."""


class Base(DeclarativeBase):
    """Names every constraint, so that later migrations can change it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Meta(Base):
    """Facts of the database itself: ``key_fingerprint`` says which master key it belongs to."""

    __tablename__ = "meta"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(255))


class PersonRow(Base):
    """One enrolled person, known by keyed digests only.

    Attributes:
        cert_digest: digest of the certificate number: one person for one number.
        pair_digest: digest of number and name together: what a request must know.
    """

    __tablename__ = "persons"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    cert_digest: Mapped[str] = mapped_column(_DIGEST, unique=True)
    pair_digest: Mapped[str] = mapped_column(_DIGEST, unique=True)
    created_at: Mapped[int] = mapped_column(BigInteger)


class TemplateRow(Base):
    """One face template, encrypted. Revoking it erases its bytes and keeps the row.

    Attributes:
        model: manifest name of the net.
        model_sha256: its file; templates of another file are not comparable.
        data: sealed float32 vector, or None once revoked.
        change: number of its last change in `TemplateHead`; 0 where that was before they were numbered.
    """

    __tablename__ = "templates"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    model: Mapped[str] = mapped_column(String(64))
    model_sha256: Mapped[str] = mapped_column(_DIGEST)
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
    change: Mapped[int] = mapped_column(BigInteger, index=True, server_default="0")


class TemplateHead(Base):
    """Number of the last change of any template; one row.

    Who changes templates holds its lock to the end of the transaction, so numbers become visible in order.
    """

    __tablename__ = "template_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    change: Mapped[int] = mapped_column(BigInteger)


class AccessKeyRow(Base):
    """One access key; its secret is encrypted, since checking a signature needs it in clear.

    Attributes:
        revoked_at: when it ends, in the past or, after a rotation, ahead; None where it does not.
        owner: id of the first key of its line of rotations; None for that key itself.
        scopes: methods that it may call, parted by spaces; None for all.
        product_ends_at: when the product closes for it; None where it does not.
        per_second: its own limit of requests, or None for the gateway's.
        per_day: the same for a day (UTC).
    """

    __tablename__ = "access_keys"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)
    owner: Mapped[str | None] = mapped_column(String(128))
    scopes: Mapped[str | None] = mapped_column(String(64))
    product_ends_at: Mapped[int | None] = mapped_column(BigInteger)
    per_second: Mapped[int | None] = mapped_column(Integer)
    per_day: Mapped[int | None] = mapped_column(Integer)


class NonceRow(Base):
    """One used nonce of one access key. The primary key makes a second use fail, in any process."""

    __tablename__ = "nonces"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


class SessionRow(Base):
    """One verification that ``init`` opened.

    Attributes:
        query_id: 32 hex digits.
        biz_id: ``ZSTP`` and 28 digits.
        access_key_id: whose it is; another key can't see it.
        result: ``resultCodeSub`` once it is finished, else None.
        device_digest: keyed digest of the device that ``init`` named, or None.
        install_digest: keyed digest of the installation and the key that attests for it, or None.
    """

    __tablename__ = "sessions"

    query_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    biz_id: Mapped[str] = mapped_column(String(64), unique=True)
    access_key_id: Mapped[str] = mapped_column(ForeignKey("access_keys.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("persons.id", ondelete="CASCADE"), index=True)
    result: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    device_digest: Mapped[str | None] = mapped_column(_DIGEST)
    install_digest: Mapped[str | None] = mapped_column(_DIGEST)


class ReturnImageRow(Base):
    """The picture of a passed session that ``query`` may give back once, encrypted with the authority's key.

    Attributes:
        query_id: the session; the picture goes with it.
        expires_at: end of its half hour at most.
    """

    __tablename__ = "return_images"

    query_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.query_id", ondelete="CASCADE"), primary_key=True
    )
    sealed: Mapped[bytes] = mapped_column(LargeBinary(LONGEST_BLOB))
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


class CounterRow(Base):
    """One limited thing: requests of a key in this second, failures of a person in this window.

    Attributes:
        name: keyed digest of what is counted.
        window: random word of the window that runs, so that a late release can't touch the next one.
        count: taken in this window.
        ends_at: from then on a new window begins.
    """

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    window: Mapped[str] = mapped_column(_ID)
    count: Mapped[int] = mapped_column(Integer)
    ends_at: Mapped[int] = mapped_column(BigInteger, index=True)


class AuditRow(Base):
    """One request, without personal data; ``hash`` covers the other columns and the row before.

    Attributes:
        seq: 1, 2, 3 ... without a gap.
        key_id: a known access key, or empty.
        code: ``Code`` of the answer.
        sub_code: detailed code of the cause, or empty.
        person: keyed digest of the certificate number, or empty.
    """

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(BigInteger)
    key_id: Mapped[str] = mapped_column(String(128))
    method: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64))
    sub_code: Mapped[str] = mapped_column(String(16))
    person: Mapped[str] = mapped_column(_DIGEST)
    request_id: Mapped[str] = mapped_column(String(64))
    elapsed_ms: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(_DIGEST)


class AuditHead(Base):
    """Where the audit log ends; one row. ``mac`` is made with the master key, which the database has not."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(_DIGEST)
    mac: Mapped[str] = mapped_column(_DIGEST)
