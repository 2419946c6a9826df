"""The database: SQLite (WAL) in the data folder, or PostgreSQL.

    reading()     a transaction that only reads
    writing()     a transaction of one atomic statement, or of a few on rows that no other transaction writes
    exclusive()   a transaction that changes several rows depending on their state: one at a time in an installation

SQLite allows one writer at a time, so writing() and exclusive() both take the write lock at the start (BEGIN
IMMEDIATE): a transaction that begins by reading cannot write after another one has written. PostgreSQL serialises
exclusive() by an advisory lock. Such transactions take milliseconds, and as there is one at a time, there are no
deadlocks between them.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from prunescope.store.migrations import HEAD

BUSY_SECONDS = 30
CONNECT_SECONDS = 3
POOL_SIZE = 15
"""Number of connections in the pool; as many again are opened temporarily if more are needed at once."""
MAX_VALUES = 500
"""Maximum number of values in one statement; databases limit it."""
_READ_ONLY = "25006"
"""PostgreSQL's error code of a write in a read-only transaction."""
_LOCK = 0x7072756E65  # key of the advisory lock: the ASCII codes of "prune"


class Database:
    """One database, by its SQLAlchemy address. Connects on first use. Must not be shared across a fork (see `dispose`).

    With `answer_seconds`, sqlalchemy.exc.OperationalError or TimeoutError is raised if a statement, a lock or a free
    connection takes longer, even if the database process hangs. This is for a server, whose requests must not pile up.
    None sets no time limit for statements.
    """

    def __init__(self, url: str, *, answer_seconds: float | None = None) -> None:
        self.url = make_url(url)
        self._limited = answer_seconds is not None
        self._sqlite = self.url.get_backend_name() == "sqlite"
        patience = BUSY_SECONDS if answer_seconds is None else answer_seconds
        options: dict[str, Any] = {"pool_size": POOL_SIZE, "max_overflow": POOL_SIZE, "pool_timeout": patience}
        if self._sqlite:
            options["connect_args"] = {"timeout": patience, "check_same_thread": False}
        else:
            options |= {"pool_pre_ping": True, "connect_args": {"connect_timeout": CONNECT_SECONDS}}
        if self.url.database in (None, "", ":memory:") and self._sqlite:
            options = {"connect_args": options["connect_args"]}  # an in-memory database has one connection, no pool
        self.engine = create_engine(
            self.url,
            json_serializer=lambda value: json.dumps(value, ensure_ascii=False, allow_nan=False),
            **options,
        )
        if self._sqlite:
            _prepare_sqlite(self.engine, patience)
        else:
            event.listen(self.engine, "handle_error", _read_only, retval=True)
            if answer_seconds is not None:
                from prunescope.store.postgres import answering_within  # imported late, as psycopg is slow to import

                answering_within(self.engine, answer_seconds)
        self._writer = self.engine.execution_options(begin="IMMEDIATE")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes. It is committed at the end of the block, and rolled back after an exception."""
        with self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A writing transaction. Only one exclusive transaction runs at a time, over all processes."""
        with self.writing() as connection:
            if not self._sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def revision(self) -> str | None:
        """The id of the database's newest applied migration; None for an empty database."""
        with self.reading() as connection:
            return _revision(connection)

    def migrate(self) -> None:
        """Apply all missing migrations. Fast if there are none. Safe if several processes start at the same time."""
        if self._sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        if self.revision() == HEAD:
            return
        if self._limited:  # a migration of much data may take longer than the time limit
            unlimited = Database(self.url.render_as_string(hide_password=False))
            unlimited.migrate()
            unlimited.dispose()
            return
        with self.exclusive() as connection:
            if _revision(connection) == HEAD:
                return  # another process has migrated the database
            # Imported late, as Alembic is slow to import and needed only for a migration.
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def dispose(self) -> None:
        """Close all connections. The next use opens new ones. A process must call this before it forks."""
        self.engine.dispose()


def in_pieces(values: Iterable[str]) -> Iterator[list[str]]:
    """Split the distinct values, sorted, into chunks of at most MAX_VALUES, each for one statement."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), MAX_VALUES):
        yield ordered[start : start + MAX_VALUES]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _read_only(context: ExceptionContext) -> OperationalError | None:
    """Convert PostgreSQL's error for a database that is read-only, such as a standby before a failover, into
    OperationalError, as SQLite raises it; SQLAlchemy would raise a class that is otherwise used for defects. None for
    any other error."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) != _READ_ONLY:
        return None
    return OperationalError(context.statement, context.parameters, error)


def _prepare_sqlite(engine: Engine, patience: float) -> None:
    """Set the options of every SQLite connection, and begin transactions explicitly. `patience`: seconds to wait for a
    lock."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: object) -> None:
        # By default the driver begins a transaction only before the first write; the "begin" event below begins it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        _switch_to_wal(connection)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Set the journal mode to WAL. SQLite ignores the busy timeout for this, so it is repeated for BUSY_SECONDS if
    another process opens a new database at the same time."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
