"""Moves of jobs from state to state, with everything that follows from them, inside an exclusive transaction that the
caller holds.

what waited for a job that did not succeed fails with it (problem `failed-dependency`, which says which job)
a job that is tried again takes along what it waits for, and what failed only because it waited for it
studies follow their cells (`store/study_rows.py`)
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, and_, insert, select, update

from jobs.documents import ACTIVE, JobKind, JobState, Progress
from jobs.problems import Problem
from store.job_rows import cells_of, dependents, describe, get_row, known_row, studies_of, waits_in_vain
from store.study_rows import refresh_study
from store.tables import dependencies, jobs, study_cells

MOST_LOST_LEASES = 3
"""A job whose worker fell silent is queued again this many times; the next time it fails."""

_FRESH: dict[str, Any] = {
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


def insert_job(
    connection: Connection,
    kind: JobKind,
    spec: dict[str, Any],
    fingerprint: str,
    now: datetime,
    *,
    force: bool,
    parent: str | None,
    after: Iterable[str],
) -> tuple[str, bool]:
    """(id, created): the known job with this fingerprint, or a new queued one. `force` always makes a new one, which
    then is the known."""
    known = known_row(connection, fingerprint)
    if known is not None:
        if not force:
            return known.id, False
        connection.execute(update(jobs).where(jobs.c.fingerprint == fingerprint).values(known=False))
    job = uuid4().hex
    connection.execute(
        insert(jobs).values(
            id=job,
            kind=kind,
            state=JobState.QUEUED,
            spec=spec,
            fingerprint=fingerprint,
            known=True,
            forced=force,
            parent=parent,
            created_at=now,
            attempts=0,
            lost_leases=0,
            cancel_requested=False,
            progress=Progress().model_dump(mode="json"),
        )
    )
    for other in sorted(set(after)):
        connection.execute(insert(dependencies).values(job=job, after=other))
        row = get_row(connection, other)
        if row is not None and row.state in {JobState.FAILED, JobState.CANCELLED}:
            end(connection, job, JobState.FAILED, now, error=_failed_dependency(row))
    return job, True


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
        for waiting in dependents(connection, job, [JobState.QUEUED]):
            studies |= _end_with_dependents(connection, waiting.id, JobState.FAILED, now, _failed_dependency(row))
    return studies


def take_back(connection: Connection, row: Row[Any], now: datetime, *, blame: bool) -> bool:
    """A running job has no worker any more: queue it again (True), or end it where it was asked to stop.

    With `blame` its worker fell silent, which a job may cause three times; then it fails.
    """
    lost = row.lost_leases + 1 if blame else row.lost_leases
    values: dict[str, Any] = {**_FRESH, "started_at": row.started_at, "lost_leases": lost}
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(values))
    if row.cancel_requested:
        end(connection, row.id, JobState.CANCELLED, now)
    elif lost > MOST_LOST_LEASES:
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
    values: dict[str, Any] = {**_FRESH, "known": True, "started_at": None, "lost_leases": 0}
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
        _ask_to_stop(connection, row.id)


def cancel_study(connection: Connection, study: str, now: datetime) -> None:
    """Cancel the unfinished cells that the study made, but for those that another unfinished study needs: they are
    its."""
    connection.execute(update(jobs).where(jobs.c.id == study).values(cancel_requested=True))
    heirs = _heirs(connection, study)
    changed = {study}
    # Those that wait come first: a cell that waits for a cancelled one is cancelled too, not failed.
    for cell in reversed(cells_of(connection, study)):
        if cell.parent != study or cell.state not in ACTIVE:
            continue
        if cell.id in heirs:
            connection.execute(update(jobs).where(jobs.c.id == cell.id).values(parent=heirs[cell.id]))
        elif cell.state == JobState.QUEUED:
            changed |= _end_with_dependents(connection, cell.id, JobState.CANCELLED, now)
        else:
            _ask_to_stop(connection, cell.id)
    for changed_study in sorted(changed):
        refresh_study(connection, changed_study, now)


def _ask_to_stop(connection: Connection, job: str) -> None:
    row = get_row(connection, job)
    assert row is not None
    progress = {**row.progress, "message": "stops after this layer or batch"}
    connection.execute(update(jobs).where(jobs.c.id == job).values(cancel_requested=True, progress=progress))


def _heirs(connection: Connection, study: str) -> dict[str, str]:
    """Cell -> another unfinished study that has it too, the oldest one, for the cells of a study."""
    mine = select(study_cells.c.job).where(study_cells.c.study == study)
    others = (
        select(study_cells.c.job, jobs.c.id)
        .join(jobs, jobs.c.id == study_cells.c.study)
        .where(
            study_cells.c.job.in_(mine),
            jobs.c.id != study,
            jobs.c.state.in_(ACTIVE),
            jobs.c.cancel_requested.is_(False),
        )
    )
    newest_first = connection.execute(others.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()))
    return {row[0]: row[1] for row in newest_first}


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
