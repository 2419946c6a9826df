"""The database: SQLite (WAL) in the data folder, or PostgreSQL.

    reading()     a transaction that only looks
    writing()     a transaction of one atomic statement or a few on rows of its own
    exclusive()   a transaction that moves several rows from state to state: one at a time in the whole installation

SQLite has one writer at a time, so writing() and exclusive() both begin with the write lock (BEGIN IMMEDIATE): a
transaction that began by reading could not become a writer once another one wrote. PostgreSQL serialises exclusive() by
an advisory lock; such transactions take milliseconds, and with one at a time no two can wait for each other's rows.
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
"""Connections that are kept; as many again are opened where more are needed at once."""
MAX_VALUES = 500
"""Databases bound the number of values in one statement."""
_READ_ONLY = "25006"
"""PostgreSQL's code of a change in a transaction that is read-only."""
_LOCK = 0x7072756E65  # "prune": the advisory lock's number


class Database:
    """One database by its SQLAlchemy address. Connects on first use; never share one across a fork (see `dispose`).

    With `answer_seconds` it raises sqlalchemy.exc.OperationalError or TimeoutError where a statement, a lock or a free
    connection takes longer, also when the database's process hangs: for a server, whose requests must not pile up.
    Without, a statement may take as long as it does.
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
            options = {"connect_args": options["connect_args"]}  # one connection, which is no pool
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
                from prunescope.store.postgres import answering_within  # psycopg takes a moment to import

                answering_within(self.engine, answer_seconds)
        self._writer = self.engine.execution_options(begin="IMMEDIATE")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only looks."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end, rolled back when an exception leaves it."""
        with self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A writing transaction that no other exclusive one runs beside, in any process."""
        with self.writing() as connection:
            if not self._sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def revision(self) -> str | None:
        """The migration that the database stands at; None for an empty one."""
        with self.reading() as connection:
            return _revision(connection)

    def migrate(self) -> None:
        """Bring the tables up to date. Quick when they are, and safe when several processes start together."""
        if self._sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        if self.revision() == HEAD:
            return
        if self._limited:  # a migration of much data takes its time
            unlimited = Database(self.url.render_as_string(hide_password=False))
            unlimited.migrate()
            unlimited.dispose()
            return
        with self.exclusive() as connection:
            if _revision(connection) == HEAD:
                return  # another process was first
            # Alembic takes a moment to import: only a start that migrates pays for it.
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def dispose(self) -> None:
        """Close the connections; a process that forks does so before, and uses the database anew after."""
        self.engine.dispose()


def in_pieces(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in pieces that go into one statement, in a fixed order and each once."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), MAX_VALUES):
        yield ordered[start : start + MAX_VALUES]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _read_only(context: ExceptionContext) -> OperationalError | None:
    """What takes no changes for a while, such as a standby that is about to take over, is an OperationalError with
    SQLite; with PostgreSQL it would be what defects are."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) != _READ_ONLY:
        return None
    return OperationalError(context.statement, context.parameters, error)


def _prepare_sqlite(engine: Engine, patience: float) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: object) -> None:
        # The driver would begin transactions by itself, and late; the "begin" event below does it instead.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        _switch_to_wal(connection)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """The switch ignores the busy timeout, so a new database that two processes open at once needs a few tries."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
