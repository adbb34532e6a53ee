"""Run by Alembic: migrates on the connection that `pipeline.gateway.migrate` hands over."""

from __future__ import annotations

from alembic import context

from pipeline.gateway.schema import Base

connection = context.config.attributes["connection"]
if connection is None:  # `alembic upgrade --sql`: print the statements for a database administrator
    context.configure(
        dialect_name=context.get_x_argument(as_dictionary=True).get("dialect", "sqlite"),
        target_metadata=Base.metadata,
    )
else:
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
