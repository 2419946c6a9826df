"""State transitions of jobs and their consequences for other jobs, inside an exclusive transaction of the caller
(`store/jobs/store.py` lists the states and opens the transactions).

- If a job does not succeed, the jobs that wait for it fail (problem `failed-dependency`, which names the job).
- If a job is retried, the jobs that it waits for and that did not succeed are queued again too, and so are the jobs
  that failed only because they waited for it.
- The rows of the studies that have the job as a cell are updated (`store/jobs/progress.py`).

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
"""A job whose lease expires is queued again this many times; the next time it fails."""

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
"""Column values of a job that is queued again."""


def end(
    connection: Connection,
    job: str,
    state: JobState,
    now: datetime,
    *,
    error: dict[str, Any] | None = None,
    result: dict[str, str] | None = None,
) -> None:
    """Set a job's final state, fail the jobs that wait for it if it did not succeed, and update the studies of all
    these jobs. The job's present state is not checked; the caller has done so."""
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
    """Set a job's final state and, if it did not succeed, fail the jobs that wait for it. Returns the ids of the
    studies to update."""
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
    """Fail all queued jobs that wait, directly or indirectly, for a job that failed or was cancelled. Returns the ids
    of the studies to update."""
    studies: set[str] = set()
    for waiting in dependents(connection, row.id, [JobState.QUEUED]):
        studies |= _end_with_dependents(connection, waiting.id, JobState.FAILED, now, _failed_dependency(row))
    return studies


def take_back(connection: Connection, row: Row[Any], now: datetime, *, blame: bool) -> bool:
    """Queue a running job again that has no worker any more. If cancellation was requested, cancel the job instead.

    With `blame`, the job's lease has expired; if that happened more than MAX_LOST_LEASES times, the job fails. Returns
    whether the job is queued.
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
    """Queue a failed or cancelled job again, together with the jobs that it waits for and that did not succeed, and the
    jobs that failed only because they waited for it. Returns the ids of all these jobs. `parent` is the study to which
    they belong then (None: unchanged).

    If another job with the same fingerprint is known by now, nothing is queued: the known job replaces this one as a
    cell of studies and as a dependency of other jobs.
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
    """Cancel a queued job, or request cancellation of a running one. An ended job is not changed."""
    if row.state == JobState.QUEUED:
        end(connection, row.id, JobState.CANCELLED, now)
    elif row.state == JobState.RUNNING:
        ask_to_stop(connection, row.id)


def ask_to_stop(connection: Connection, job: str) -> None:
    """Request cancellation of a running job, which stops after its current layer or batch."""
    row = get_row(connection, job)
    assert row is not None
    progress = {**row.progress, "message": "stops after this layer or batch"}
    connection.execute(update(jobs).where(jobs.c.id == job).values(cancel_requested=True, progress=progress))


def _failed_dependency(row: Row[Any]) -> dict[str, Any]:
    what = "was cancelled" if row.state == JobState.CANCELLED else "failed"
    reason = f": {row.error['detail']}" if row.error and row.error.get("detail") else ""
    detail = f"it needs the result of job {row.id} ({describe(row.kind, row.spec)}), which {what}{reason}"
    return Problem(424, "failed-dependency", "A job that this one waits for did not succeed", detail).document()


def _worker_lost(attempts: int) -> dict[str, Any]:
    problem = Problem(
        503,
        "worker-lost",
        "The worker was lost",
        f"the worker stopped responding in each of {attempts} attempts; it may have run out of memory: "
        "look at its log, then try again",
    )
    return problem.document()
