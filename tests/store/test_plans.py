"""Look-ups take an index: what the databases say of their plans."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from prunescope.jobs.documents import JobKind, artefact_id
from prunescope.store.artefacts.records import add_record
from prunescope.store.database import Database
from prunescope.store.jobs.inserts import NewJob, insert_jobs
from prunescope.store.jobs.queries import known_jobs
from prunescope.store.jobs.store import utc_now
from prunescope.store.submission import Stores

COUNT = 3000
FINGERPRINTS = [f"{number:064x}"[::-1] for number in range(COUNT)]
SPEC = {"model": "one", "method": {"name": "magnitude"}}

LookUp = Callable[[Stores, Connection], object]
LOOK_UPS: dict[str, tuple[LookUp, str]] = {
    "one maker": (lambda stores, _: stores.jobs.making([artefact_id(FINGERPRINTS[7])]), "ix_jobs_artefact"),
    "many makers": (lambda stores, _: stores.jobs.making(map(artefact_id, FINGERPRINTS[:40])), "ix_jobs_artefact"),
    "known jobs": (lambda _, connection: known_jobs(connection, FINGERPRINTS[:40]), "ix_jobs_artefact"),
    "who names a model": (
        lambda stores, _: stores.results.naming("attribution", ["model 7"]),
        "ix_record_models_model_kind",
    ),
    "who has a model in one field": (
        lambda stores, _: stores.results.naming("attribution", ["model 7"], field="dense", limit=50),
        "ix_record_models_model_kind",
    ),
    "attributions of two models": (
        lambda stores, _: stores.results.of_models("model 7", ["model 8"], 5),
        "ix_record_models_model_kind",
    ),
}


@pytest.fixture
def filled(stores: Stores) -> Stores:
    """3,000 queued jobs, and as many attributions that name two models each."""
    now = utc_now()
    with stores.database.exclusive() as connection:
        insert_jobs(
            connection, [NewJob(JobKind.PRUNE, SPEC, mark) for mark in FINGERPRINTS], now, force=False, parent=None
        )
        for number in range(COUNT):
            spec = {"dense": f"model {number}", "pruned": [f"model {number + 1}"]}
            add_record(connection, "attribution", f"{number:016x}", now, job=None, spec=spec, summary={}, used=[])
    return stores


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that run meanwhile, each with its values."""
    seen: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, values: Any, context: object, many: bool) -> None:
        seen.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def test_look_ups_take_an_index(filled: Stores) -> None:
    sqlite = filled.database.url.get_backend_name() == "sqlite"
    if sqlite:  # it never gathers statistics by itself, as PostgreSQL does
        _take_an_index(filled, "EXPLAIN QUERY PLAN")
    with filled.database.writing() as connection:
        connection.execute(text("ANALYZE"))
    _take_an_index(filled, "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN")


def _take_an_index(stores: Stores, explain: str) -> None:
    for name, (look_up, index) in LOOK_UPS.items():
        with stores.database.reading() as connection, statements(stores.database) as seen:
            look_up(stores, connection)
        selects = [each for each in seen if each[0].startswith("SELECT")]
        assert selects, name
        for statement, values in selects:
            with stores.database.reading() as connection:
                explained = connection.exec_driver_sql(f"{explain} {statement}", values)
                plan = "\n".join(str(row) for row in explained)
            assert index in plan, f"{name}:\n{plan}"
