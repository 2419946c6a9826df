"""Alembic migrations. `HEAD` is the newest revision; with it here, a process that needs no migration need not import
Alembic."""

HEAD = "0009"
