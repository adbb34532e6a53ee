"""Installations that sessions are bound to; pictures that ``query`` may give back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("sessions") as table:
        table.add_column(sa.Column("install_digest", sa.String(64)))
    op.create_table(
        "return_images",
        sa.Column("query_id", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("query_id", name="pk_return_images"),
        sa.ForeignKeyConstraint(
            ["query_id"],
            ["sessions.query_id"],
            name="fk_return_images_query_id_sessions",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_return_images_expires_at", "return_images", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("return_images")
    with op.batch_alter_table("sessions") as table:
        table.drop_column("install_digest")
