"""Cancels or retries a study with all of its cells, inside an exclusive transaction of the caller.

Cells are updated in bulk, not one by one: a study may have 20,000 cells, and all other writers wait for the
transaction.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from prunescope.jobs.documents import ACTIVE, JobKind, JobState
from prunescope.jobs.problems import conflict
from prunescope.store.database import in_pieces
from prunescope.store.jobs.progress import refresh_study, wake_studies
from prunescope.store.jobs.queries import cells_of, get_row, known_jobs, known_row, studies_of, waits_in_vain
from prunescope.store.jobs.transitions import FRESH, ask_to_stop, fail_dependents, queue_again
from prunescope.store.tables import dependencies, jobs, study_cells


def cancel_study(connection: Connection, study: str, now: datetime) -> None:
    """Cancel the unfinished cells that belong to the study. A cell that another unfinished study has too is not
    cancelled; it belongs to that study from then on."""
    connection.execute(update(jobs).where(jobs.c.id == study).values(cancel_requested=True))
    other_studies = _other_studies(connection, study)
    own = [cell for cell in cells_of(connection, study) if cell.parent == study and cell.state in ACTIVE]
    for other in sorted(set(other_studies.values())):
        for ids in in_pieces(cell.id for cell in own if other_studies.get(cell.id) == other):
            connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(parent=other))
    waiting = {cell.id for cell in own if cell.id not in other_studies and cell.state == JobState.QUEUED}
    changed = {study, *studies_of(connection, *waiting)}
    # All are cancelled before dependents are failed: a cell that waits for a cancelled cell is cancelled, not failed.
    for ids in in_pieces(waiting):
        values = {"state": JobState.CANCELLED, "finished_at": now, "error": None, "result": None}
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(values))
    for job, _ in _dependents(connection, waiting, JobState.QUEUED):
        row = get_row(connection, job)
        assert row is not None
        changed |= fail_dependents(connection, row, now)
    for cell in own:
        if cell.id not in other_studies and cell.state == JobState.RUNNING:
            ask_to_stop(connection, cell.id)
    for changed_study in sorted(changed):
        refresh_study(connection, changed_study, now)


def try_again(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Queue a failed or cancelled job again; for a study also the cells that did not succeed. Raises Problem 409 if
    another job with the same fingerprint is known by now."""
    other = known_row(connection, row.fingerprint)
    if other is not None:
        raise conflict(f"job {other.id} does the same thing and is {other.state}; follow that one")
    queued: set[str] = set()
    if row.kind == JobKind.STUDY:
        queued |= queue_cells_again(connection, row.id)
    queued |= queue_again(connection, row.id)
    if row.kind == JobKind.STUDY:
        refresh_study(connection, row.id, now)
    wake_studies(connection, queued, now)


def queue_cells_again(connection: Connection, study: str) -> set[str]:
    """Queue the failed and cancelled cells of a study again, together with the jobs that they wait for and that did not
    succeed, and the jobs that failed only because they waited for these cells. All of them belong to the study then.
    Returns their ids."""
    lost = lost_cells(connection, study)
    known = known_jobs(connection, lost.values())
    # A cell is handled individually if another job with its fingerprint replaces it, which is rare.
    one_for_each = {mark: job for job, mark in lost.items()}
    again = {job for mark, job in one_for_each.items() if mark not in known}
    for ids in in_pieces(again):
        values: dict[str, Any] = {**FRESH, "known": True, "started_at": None, "lost_leases": 0, "parent": study}
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(values))
    queued = set(again)
    for job in sorted(lost.keys() - again):
        queued |= queue_again(connection, job, study)
    for job in _unsuccessful_dependencies(connection, again):
        queued |= queue_again(connection, job, study)
    for _, later in _dependents(connection, again, JobState.FAILED):
        row = get_row(connection, later)
        assert row is not None
        waited_only = (row.error or {}).get("code") == "failed-dependency"
        if waited_only and not waits_in_vain(connection, later):
            queued |= queue_again(connection, later, study)
    return queued


def lost_cells(connection: Connection, study: str) -> dict[str, str]:
    """Id -> fingerprint of the failed and cancelled cells of a study."""
    lost = {JobState.FAILED, JobState.CANCELLED}
    return {cell.id: cell.fingerprint for cell in cells_of(connection, study) if cell.state in lost}


def _other_studies(connection: Connection, study: str) -> dict[str, str]:
    """Cell of `study` -> the oldest other unfinished study that has this cell too; cells of no other are omitted."""
    own = select(study_cells.c.job).where(study_cells.c.study == study)
    others = (
        select(study_cells.c.job, jobs.c.id)
        .join(jobs, jobs.c.id == study_cells.c.study)
        .where(
            study_cells.c.job.in_(own),
            jobs.c.id != study,
            jobs.c.state.in_(ACTIVE),
            jobs.c.cancel_requested.is_(False),
        )
    )
    newest_first = connection.execute(others.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()))
    return {row[0]: row[1] for row in newest_first}


def _dependents(connection: Connection, ids: Iterable[str], state: JobState) -> list[tuple[str, str]]:
    """(job, dependent) for each of these jobs and each job in this state that waits for it."""
    found: list[tuple[str, str]] = []
    for some in in_pieces(ids):
        pairs = select(dependencies.c.after, dependencies.c.job).join(jobs, jobs.c.id == dependencies.c.job)
        pairs = pairs.where(dependencies.c.after.in_(some), jobs.c.state == state)
        found += [(row.after, row.job) for row in connection.execute(pairs.order_by(jobs.c.created_at, jobs.c.id))]
    return found


def _unsuccessful_dependencies(connection: Connection, ids: Iterable[str]) -> list[str]:
    """Ids of the failed and cancelled jobs that these jobs wait for."""
    found: set[str] = set()
    for some in in_pieces(ids):
        earlier = select(dependencies.c.after).join(jobs, jobs.c.id == dependencies.c.after)
        lost = jobs.c.state.in_([JobState.FAILED, JobState.CANCELLED])
        found |= set(connection.execute(earlier.where(dependencies.c.job.in_(some), lost)).scalars())
    return sorted(found)
