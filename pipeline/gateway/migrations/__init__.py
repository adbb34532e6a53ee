"""Alembic's migrations of the authority's schema."""
