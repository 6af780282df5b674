"""Steps of the database schema (Alembic)."""
