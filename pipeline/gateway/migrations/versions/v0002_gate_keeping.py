"""Gate keeping: terms of access keys, counters, the audit log, a session's device."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DIGEST = sa.String(64)
_TERMS = (
    ("owner", sa.String(128)),
    ("scopes", sa.String(64)),
    ("product_ends_at", sa.BigInteger()),
    ("per_second", sa.Integer()),
    ("per_day", sa.Integer()),
)


def upgrade() -> None:
    """Apply."""
    for name, kind in _TERMS:
        op.add_column("access_keys", sa.Column(name, kind, nullable=True))
    op.add_column("sessions", sa.Column("device_digest", _DIGEST, nullable=True))
    op.create_table(
        "counters",
        sa.Column("name", _DIGEST, nullable=False),
        sa.Column("window", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_index("ix_counters_ends_at", "counters", ["ends_at"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.String(128), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("sub_code", sa.String(16), nullable=False),
        sa.Column("person", _DIGEST, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("elapsed_ms", sa.Integer, nullable=False),
        sa.Column("hash", _DIGEST, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", _DIGEST, nullable=False),
        sa.Column("mac", _DIGEST, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("audit_head", "audit", "counters"):
        op.drop_table(table)
    op.drop_column("sessions", "device_digest")
    for name, _ in reversed(_TERMS):
        op.drop_column("access_keys", name)
