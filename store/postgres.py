"""A time limit for PostgreSQL's answers that holds when its process hangs.

PostgreSQL's own limits (statement_timeout) are kept by the process that would have to keep them, and a hung process
still acknowledges what it is sent. Only the client's side can tell.
"""

from typing import Any

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event


def answering_within(engine: Engine, seconds: float) -> None:
    """Have every connection of a psycopg engine raise psycopg.OperationalError, and close itself, when an answer takes
    longer than `seconds`."""

    class Limited(_Limited):
        answer_seconds = seconds

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, args: Any, parameters: Any) -> Any:
        return Limited.connect(*args, **parameters)


class _Limited(psycopg.Connection[Any]):
    answer_seconds: float

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """psycopg waits here for everything but a new connection."""
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self.close()  # its answer may still come, and would be taken for the next question's
            raise psycopg.OperationalError(
                f"PostgreSQL did not answer within {self.answer_seconds:g} seconds"
            ) from error
