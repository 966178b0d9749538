"""Alembic's home: one revision per change of the schema."""
