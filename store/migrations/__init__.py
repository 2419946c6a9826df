"""Alembic migrations. `HEAD` is the newest revision: knowing it here lets a start that needs no migration do without
Alembic."""

HEAD = "0006"
