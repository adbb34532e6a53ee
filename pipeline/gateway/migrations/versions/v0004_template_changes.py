"""Template changes: a number for each, so that other processes can follow them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("templates") as table:
        table.add_column(sa.Column("change", sa.BigInteger, nullable=False, server_default="0"))
        table.create_index("ix_templates_change", ["change"])
    head = op.create_table(
        "template_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_template_head"),
    )
    op.bulk_insert(head, [{"id": 1, "change": 0}])


def downgrade() -> None:
    """Take back."""
    op.drop_table("template_head")
    with op.batch_alter_table("templates") as table:
        table.drop_index("ix_templates_change")
        table.drop_column("change")
