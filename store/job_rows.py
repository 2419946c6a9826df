"""Rows of jobs and the moves between them that belong together. Everything here runs inside a transaction that the
caller holds.

`JobStore` offers the moves; this module keeps three promises when a job ends or is queued again:

    what waited for a job that did not succeed fails with it (problem `failed-dependency`, which says which cell)
    a study's progress is its ended cells; it starts with its first cell and ends after its last
    a job is ready when everything that it waits for has succeeded
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, and_, exists, insert, not_, or_, select, update

from jobs.documents import ACTIVE, ENDED, Job, JobKind, JobState, Progress
from jobs.problems import Problem
from store.tables import dependencies, jobs, study_cells

_after = jobs.alias("after_job")

READY = not_(
    exists().where(
        dependencies.c.job == jobs.c.id, dependencies.c.after == _after.c.id, _after.c.state != JobState.SUCCEEDED
    )
)
"""Everything that the job waits for has succeeded."""

KNOWN = and_(jobs.c.known, jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]))
"""Counts when the same spec is submitted again."""


def to_job(row: Row[Any]) -> Job:
    """The document of a row."""
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        spec=row.spec,
        fingerprint=row.fingerprint,
        progress=Progress.model_validate(row.progress),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        error=row.error,
        result=row.result,
        parent=row.parent,
        cancel_requested=row.cancel_requested,
        forced=row.forced,
        sent=row.sent_at is not None,
    )


def get_row(connection: Connection, job: str) -> Row[Any] | None:
    """The row of a job."""
    return connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()


def known_row(connection: Connection, fingerprint: str) -> Row[Any] | None:
    """The job that queues, runs or has succeeded with this fingerprint; at most one, the database sees to it."""
    return connection.execute(select(jobs).where(jobs.c.fingerprint == fingerprint, KNOWN)).one_or_none()


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
    follow_up(connection, job, now)


def follow_up(connection: Connection, job: str, now: datetime) -> None:
    """A job has just ended: fail what can no longer run, and bring its studies up to date."""
    row = get_row(connection, job)
    assert row is not None
    if row.state != JobState.SUCCEEDED:
        for waiting in _dependents(connection, job, [JobState.QUEUED]):
            end(connection, waiting.id, JobState.FAILED, now, error=_failed_dependency(row))
    for study in studies_of(connection, job):
        refresh_study(connection, study, now)


def studies_of(connection: Connection, job: str) -> list[str]:
    """Ids of the study jobs that have this job as a cell."""
    studies = select(study_cells.c.study).where(study_cells.c.job == job).distinct()
    return list(connection.execute(studies.order_by(study_cells.c.study)).scalars())


def cells_of(connection: Connection, study: str) -> Sequence[Row[Any]]:
    """The cells of a study as job rows, in the order of its plan."""
    cells = select(jobs).join(study_cells, study_cells.c.job == jobs.c.id).where(study_cells.c.study == study)
    return connection.execute(cells.order_by(study_cells.c.position)).all()


def refresh_study(connection: Connection, study: str, now: datetime) -> None:
    """A study's state and progress out of its cells: it starts with the first and ends after the last of them."""
    row = get_row(connection, study)
    if row is None or row.state in ENDED:
        return
    cells = cells_of(connection, study)
    unfinished = [cell for cell in cells if cell.state in ACTIVE]
    if row.cancel_requested:
        # Cells that another study or a person asked for as well go on without it.
        unfinished = [cell for cell in unfinished if cell.parent == study]
    failed = [cell for cell in cells if cell.state in {JobState.FAILED, JobState.CANCELLED}]
    values: dict[str, Any] = {"progress": _study_progress(row, cells, now).model_dump(mode="json")}
    if any(cell.state != JobState.QUEUED for cell in cells):
        values |= {"state": JobState.RUNNING, "started_at": row.started_at or now}
    if not unfinished:
        values |= {"finished_at": now, "cancel_requested": False}
        if row.cancel_requested:
            values["state"] = JobState.CANCELLED
        elif failed:
            values |= {"state": JobState.FAILED, "error": _cells_failed(failed, len(cells))}
        else:
            values |= {"state": JobState.SUCCEEDED, "result": {"study": row.fingerprint[:16]}}
    connection.execute(update(jobs).where(jobs.c.id == study).values(values))


def ready_after(connection: Connection, job: str) -> list[str]:
    """Queued jobs that waited for this one, are ready and have no message yet, in the order of their making."""
    waiting = select(jobs.c.id).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    ready = waiting.where(jobs.c.state == JobState.QUEUED, jobs.c.sent_at.is_(None), READY)
    return list(connection.execute(ready.order_by(jobs.c.created_at, jobs.c.id)).scalars())


def queue_again(connection: Connection, job: str, parent: str | None = None) -> None:
    """A failed or cancelled job, what it waits for where that did not succeed, and what failed with it are queued
    again.

    When another job has been asked for the same thing since, that one takes its place in studies and for what waits for
    it.
    """
    row = get_row(connection, job)
    if row is None or row.state not in {JobState.FAILED, JobState.CANCELLED}:
        return
    other = known_row(connection, row.fingerprint)
    if other is not None:
        connection.execute(update(study_cells).where(study_cells.c.job == job).values(job=other.id))
        for waiting in _dependents(connection, job, [JobState.FAILED, JobState.QUEUED]):
            pair = and_(dependencies.c.job == waiting.id, dependencies.c.after == job)
            connection.execute(update(dependencies).where(pair).values(after=other.id))
        return
    values: dict[str, Any] = {
        "state": JobState.QUEUED,
        "known": True,
        "sent_at": None,
        "started_at": None,
        "finished_at": None,
        "lost_leases": 0,
        "worker": None,
        "lease_until": None,
        "cancel_requested": False,
        "progress": Progress().model_dump(mode="json"),
        "error": None,
        "result": None,
    }
    if parent is not None:
        values["parent"] = parent
    connection.execute(update(jobs).where(jobs.c.id == job).values(values))
    waits_for = select(dependencies.c.after).where(dependencies.c.job == job)
    for earlier in connection.execute(waits_for).scalars().all():
        queue_again(connection, earlier, parent)
    for later in _dependents(connection, job, [JobState.FAILED]):
        waited_only = (later.error or {}).get("code") == "failed-dependency"
        if waited_only and not _waits_in_vain(connection, later.id):
            queue_again(connection, later.id, parent)


def wake_studies(connection: Connection, job: str, now: datetime) -> None:
    """A cell was queued again: failed studies that have it run on; one that was cancelled stays so."""
    for study in studies_of(connection, job):
        revived = and_(jobs.c.id == study, jobs.c.state == JobState.FAILED, or_(jobs.c.known, not_(_known_twin(study))))
        connection.execute(
            update(jobs)
            .where(revived)
            .values(state=JobState.RUNNING, known=True, finished_at=None, error=None, result=None)
        )
        refresh_study(connection, study, now)


def _known_twin(study: str) -> Any:
    """Another job counts as known with the fingerprint of this one."""
    own = jobs.alias("own")
    twin = jobs.alias("twin")
    states = [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    return exists().where(
        own.c.id == study,
        twin.c.fingerprint == own.c.fingerprint,
        twin.c.id != study,
        twin.c.known,
        twin.c.state.in_(states),
    )


def _dependents(connection: Connection, job: str, states: Sequence[JobState]) -> Sequence[Row[Any]]:
    waiting = select(jobs).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    return connection.execute(waiting.where(jobs.c.state.in_(states)).order_by(jobs.c.created_at, jobs.c.id)).all()


def _waits_in_vain(connection: Connection, job: str) -> bool:
    """Something that the job waits for did not succeed."""
    lost = _after.c.state.in_([JobState.FAILED, JobState.CANCELLED])
    earlier = select(dependencies.c.after).join(_after, _after.c.id == dependencies.c.after)
    return connection.execute(earlier.where(dependencies.c.job == job, lost)).first() is not None


def _study_progress(study: Row[Any], cells: Sequence[Row[Any]], now: datetime) -> Progress:
    ended = [cell for cell in cells if cell.state in ENDED]
    running = sum(cell.state == JobState.RUNNING for cell in cells)
    failed = sum(cell.state in {JobState.FAILED, JobState.CANCELLED} for cell in cells)
    eta = None
    if study.started_at is not None:
        fresh = sum(cell.finished_at >= study.started_at for cell in ended)
        if fresh:
            eta = (now - study.started_at).total_seconds() / fresh * (len(cells) - len(ended))
    parts = [f"{count} {word}" for count, word in ((running, "running"), (failed, "did not succeed")) if count]
    return Progress(
        stage="cells", done=len(ended), total=len(cells), unit="cells", message=", ".join(parts), eta_seconds=eta
    )


def describe(kind: str, spec: dict[str, Any]) -> str:
    """A job in a few words, for messages: "prune demo with wanda"."""
    match kind:
        case "prune":
            return f"prune {spec['model']} with {spec['method']['name']}"
        case "evaluate":
            return f"evaluate {spec['model']}"
        case "attribute":
            return f"attribute {spec['dense']}"
        case _:
            return str(spec.get("name") or kind)


def _failed_dependency(row: Row[Any]) -> dict[str, Any]:
    what = "was cancelled" if row.state == JobState.CANCELLED else "failed"
    reason = f": {row.error['detail']}" if row.error and row.error.get("detail") else ""
    detail = f"it needs what job {row.id} makes ({describe(row.kind, row.spec)}), and that job {what}{reason}"
    return Problem(424, "failed-dependency", "A job that this one waits for did not succeed", detail).document()


def _cells_failed(failed: Sequence[Row[Any]], cells: int) -> dict[str, Any]:
    # A cell that failed by itself says more than one that only waited for it.
    first = min(failed, key=lambda cell: (cell.error or {}).get("code") in {None, "failed-dependency"})
    reason = (first.error or {}).get("detail") or "it was cancelled"
    detail = (
        f"{len(failed)} of {cells} cells did not succeed; "
        f"the first is job {first.id} ({describe(first.kind, first.spec)}): {reason}"
    )
    return Problem(424, "cells-failed", "Cells of the study did not succeed", detail).document()
