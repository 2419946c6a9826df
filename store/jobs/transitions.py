"""Transitions of jobs between states, and what follows from each, inside an exclusive transaction that the caller
holds (`store/jobs/store.py` lists the states and opens the transactions).

- When a job does not succeed, the jobs that wait for it fail too (problem `failed-dependency`, which names the job).
- A job that is retried takes along the jobs it waits for, and those that failed only because they waited for it.
- A study's row follows its cells (`store/jobs/progress.py`).

Jobs are inserted by `store/jobs/inserts.py`; `store/jobs/study_transitions.py` cancels or retries a whole study.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, select, update

from prunescope.jobs.documents import JobState, Progress
from prunescope.jobs.problems import Problem
from prunescope.store.jobs.progress import refresh_study
from prunescope.store.jobs.queries import dependents, describe, get_row, known_row, studies_of, waits_in_vain
from prunescope.store.tables import dependencies, jobs, study_cells

MAX_LOST_LEASES = 3
"""A job whose worker fell silent is queued again this many times; the next time it fails."""

FRESH: dict[str, Any] = {
    "state": JobState.QUEUED,
    "sent_at": None,
    "finished_at": None,
    "worker": None,
    "lease_until": None,
    "cancel_requested": False,
    "progress": Progress().model_dump(mode="json"),
    "error": None,
    "result": None,
}
"""What a job has that is queued again."""


def end(
    connection: Connection,
    job: str,
    state: JobState,
    now: datetime,
    *,
    error: dict[str, Any] | None = None,
    result: dict[str, str] | None = None,
) -> None:
    """Write a job's end, whatever state it is in (the caller has checked), and let everything that follows from it
    happen."""
    for study in sorted(_end_with_dependents(connection, job, state, now, error, result)):
        refresh_study(connection, study, now)


def _end_with_dependents(
    connection: Connection,
    job: str,
    state: JobState,
    now: datetime,
    error: dict[str, Any] | None = None,
    result: dict[str, str] | None = None,
) -> set[str]:
    """Write the end of a job and of those that wait for it in vain; the studies that have to be told."""
    values: dict[str, Any] = {
        "state": state,
        "finished_at": now,
        "error": error,
        "result": result,
        "worker": None,
        "lease_until": None,
        "cancel_requested": False,
    }
    connection.execute(update(jobs).where(jobs.c.id == job).values(values))
    studies = set(studies_of(connection, job))
    if state != JobState.SUCCEEDED:
        row = get_row(connection, job)
        assert row is not None
        studies |= fail_dependents(connection, row, now)
    return studies


def fail_dependents(connection: Connection, row: Row[Any], now: datetime) -> set[str]:
    """Fail what waits for a job that failed or was cancelled; the studies that have to be told."""
    studies: set[str] = set()
    for waiting in dependents(connection, row.id, [JobState.QUEUED]):
        studies |= _end_with_dependents(connection, waiting.id, JobState.FAILED, now, _failed_dependency(row))
    return studies


def take_back(connection: Connection, row: Row[Any], now: datetime, *, blame: bool) -> bool:
    """A running job has no worker any more: queue it again (True), or end it where it was asked to stop.

    With `blame` its worker fell silent, which a job may cause three times; then it fails.
    """
    lost = row.lost_leases + 1 if blame else row.lost_leases
    values: dict[str, Any] = {**FRESH, "started_at": row.started_at, "lost_leases": lost}
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(values))
    if row.cancel_requested:
        end(connection, row.id, JobState.CANCELLED, now)
    elif lost > MAX_LOST_LEASES:
        end(connection, row.id, JobState.FAILED, now, error=_worker_lost(row.attempts))
    else:
        for study in studies_of(connection, row.id):
            refresh_study(connection, study, now)
        return True
    return False


def queue_again(connection: Connection, job: str, parent: str | None = None) -> set[str]:
    """A failed or cancelled job, what it waits for where that did not succeed, and what failed only with it are queued
    again: the ids of all these.

    When another job has been asked for the same thing since, that one takes its place in studies and for what waits
    for it.
    """
    row = get_row(connection, job)
    if row is None or row.state not in {JobState.FAILED, JobState.CANCELLED}:
        return set()
    other = known_row(connection, row.fingerprint)
    if other is not None:
        connection.execute(update(study_cells).where(study_cells.c.job == job).values(job=other.id))
        for waiting in dependents(connection, job, [JobState.QUEUED, JobState.FAILED, JobState.CANCELLED]):
            pair = and_(dependencies.c.job == waiting.id, dependencies.c.after == job)
            connection.execute(update(dependencies).where(pair).values(after=other.id))
        return set()
    values: dict[str, Any] = {**FRESH, "known": True, "started_at": None, "lost_leases": 0}
    if parent is not None:
        values["parent"] = parent
    connection.execute(update(jobs).where(jobs.c.id == job).values(values))
    queued = {job}
    waits_for = select(dependencies.c.after).where(dependencies.c.job == job)
    for earlier in connection.execute(waits_for).scalars().all():
        queued |= queue_again(connection, earlier, parent)
    for later in dependents(connection, job, [JobState.FAILED]):
        waited_only = (later.error or {}).get("code") == "failed-dependency"
        if waited_only and not waits_in_vain(connection, later.id):
            queued |= queue_again(connection, later.id, parent)
    return queued


def cancel_one(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Cancel a queued job, ask a running one to stop; an ended one stays as it is."""
    if row.state == JobState.QUEUED:
        end(connection, row.id, JobState.CANCELLED, now)
    elif row.state == JobState.RUNNING:
        ask_to_stop(connection, row.id)


def ask_to_stop(connection: Connection, job: str) -> None:
    """Let a running job know that it is to stop at its next layer or batch."""
    row = get_row(connection, job)
    assert row is not None
    progress = {**row.progress, "message": "stops after this layer or batch"}
    connection.execute(update(jobs).where(jobs.c.id == job).values(cancel_requested=True, progress=progress))


def _failed_dependency(row: Row[Any]) -> dict[str, Any]:
    what = "was cancelled" if row.state == JobState.CANCELLED else "failed"
    reason = f": {row.error['detail']}" if row.error and row.error.get("detail") else ""
    detail = f"it needs what job {row.id} makes ({describe(row.kind, row.spec)}), and that job {what}{reason}"
    return Problem(424, "failed-dependency", "A job that this one waits for did not succeed", detail).document()


def _worker_lost(attempts: int) -> dict[str, Any]:
    problem = Problem(
        503,
        "worker-lost",
        "The worker was lost",
        f"the worker fell silent in each of {attempts} attempts; it may have run out of memory: "
        "look at its log, then try again",
    )
    return problem.document()
