"""Run by Alembic: migrates on the connection that `Database.migrate` passes, inside its transaction."""

from alembic import context

from prunescope.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
context.run_migrations()
