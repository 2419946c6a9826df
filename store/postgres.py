"""A time limit for PostgreSQL's responses that also applies when the PostgreSQL process hangs.

PostgreSQL's own limits (statement_timeout) are enforced by the process that hangs, and its machine still acknowledges
TCP packets, so only the client can detect that no response comes.
"""

from typing import Any

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event


def answering_within(engine: Engine, seconds: float) -> None:
    """Set a time limit for every connection of a psycopg engine: if a response takes longer than `seconds`, the
    connection is closed and raises psycopg.OperationalError."""

    class Limited(_Limited):
        answer_seconds = seconds

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, args: Any, parameters: Any) -> Any:
        return Limited.connect(*args, **parameters)


class _Limited(psycopg.Connection[Any]):
    answer_seconds: float

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for a response; psycopg calls this for everything except connecting."""
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self.close()  # a late response would be taken for the response to the next statement
            raise psycopg.OperationalError(
                f"PostgreSQL did not answer within {self.answer_seconds:g} seconds"
            ) from error
