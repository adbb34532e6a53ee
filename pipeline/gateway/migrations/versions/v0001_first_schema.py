"""First schema: persons, templates, access keys, nonces, sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(32)
_DIGEST = sa.String(64)


def _key(table: str, column: str = "id") -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=f"pk_{table}")


def _unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f"uq_{table}_{column}")


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{to}.id"], name=f"fk_{table}_{column}_{to}", ondelete="CASCADE"
    )


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "meta",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        _key("meta", "name"),
    )
    op.create_table(
        "persons",
        sa.Column("id", _ID, nullable=False),
        sa.Column("cert_digest", _DIGEST, nullable=False),
        sa.Column("pair_digest", _DIGEST, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        _key("persons"),
        _unique("persons", "cert_digest"),
        _unique("persons", "pair_digest"),
    )
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        _key("access_keys"),
    )
    op.create_table(
        "nonces",
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        _key("nonces", "digest"),
    )
    op.create_index("ix_nonces_expires_at", "nonces", ["expires_at"])
    op.create_table(
        "templates",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_sha256", _DIGEST, nullable=False),
        sa.Column("data", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        _key("templates"),
        _reference("templates", "person_id", "persons"),
    )
    op.create_index("ix_templates_person_id", "templates", ["person_id"])
    op.create_table(
        "sessions",
        sa.Column("query_id", _ID, nullable=False),
        sa.Column("biz_id", sa.String(64), nullable=False),
        sa.Column("access_key_id", sa.String(128), nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("result", sa.String(16)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        _key("sessions", "query_id"),
        _unique("sessions", "biz_id"),
        _reference("sessions", "access_key_id", "access_keys"),
        _reference("sessions", "person_id", "persons"),
    )
    for column in ("access_key_id", "person_id", "expires_at"):
        op.create_index(f"ix_sessions_{column}", "sessions", [column])


def downgrade() -> None:
    """Take back."""
    for table in ("sessions", "templates", "nonces", "access_keys", "persons", "meta"):
        op.drop_table(table)
