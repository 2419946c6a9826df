"""Inserts new jobs, one or all cells of a study, inside an exclusive transaction of the caller.

All rows are inserted together: a study of 20,000 cells takes a few statements instead of a hundred thousand. A job is
known if it is queued, running or has succeeded, and is returned when the same spec is submitted again (`KNOWN` in
`store/jobs/queries.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, update

from prunescope.jobs.briefs import brief_of
from prunescope.jobs.documents import JobKind, JobState, Progress, artefact_id
from prunescope.store.database import in_pieces
from prunescope.store.jobs.progress import refresh_study
from prunescope.store.jobs.queries import get_row, known_jobs
from prunescope.store.jobs.transitions import fail_dependents
from prunescope.store.tables import dependencies, jobs


@dataclass(frozen=True)
class NewJob:
    """A job to insert. It starts only after other jobs have succeeded: those at the positions `after` of the same list,
    and existing ones with the ids `waits_for`."""

    kind: JobKind
    spec: dict[str, Any]
    fingerprint: str
    after: tuple[int, ...] = ()
    waits_for: tuple[str, ...] = ()


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
    """(id, created) of the known job with this fingerprint, or of a new queued job if there is none. `force` always
    inserts a new job, which becomes the known one. `after` are ids of jobs that must succeed first."""
    new = NewJob(kind, spec, fingerprint, waits_for=tuple(after))
    ((job,), created) = insert_jobs(connection, [new], now, force=force, parent=parent)
    return job, bool(created)


def insert_jobs(
    connection: Connection, wanted: Sequence[NewJob], now: datetime, *, force: bool, parent: str | None
) -> tuple[list[str], set[str]]:
    """(ids, the created ones among them): for each wanted job the id of the known job with its fingerprint, or of a new
    queued job if there is none.

    Wanted jobs with equal fingerprints become one job. `force` inserts new jobs for all fingerprints, which become the
    known ones.
    """
    if force:
        for marks in in_pieces({new.fingerprint for new in wanted}):
            connection.execute(update(jobs).where(jobs.c.fingerprint.in_(marks), jobs.c.known).values(known=False))
        ids: dict[str, str] = {}
    else:
        ids = known_jobs(connection, {new.fingerprint for new in wanted})
    progress = Progress().model_dump(mode="json")
    found: list[str] = []
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, str]] = []
    for position, new in enumerate(wanted):
        job = ids.get(new.fingerprint)
        if job is None:
            job = ids[new.fingerprint] = uuid4().hex
            rows.append(
                {
                    "id": job,
                    "kind": new.kind,
                    "state": JobState.QUEUED,
                    "spec": new.spec,
                    "brief": brief_of(new.spec),
                    "fingerprint": new.fingerprint,
                    "artefact": artefact_id(new.fingerprint),
                    "known": True,
                    "forced": force,
                    "parent": parent,
                    "created_at": now + timedelta(microseconds=position),  # lists and messages keep this order
                    "attempts": 0,
                    "lost_leases": 0,
                    "cancel_requested": False,
                    "progress": progress,
                }
            )
            earlier = {found[index] for index in new.after} | set(new.waits_for)
            pairs += [{"job": job, "after": other} for other in sorted(earlier)]
        found.append(job)
    if rows:
        connection.execute(insert(jobs), rows)
    if pairs:
        connection.execute(insert(dependencies), pairs)
    _fail_dependents_of_ended(connection, {other for new in wanted for other in new.waits_for}, now)
    return found, {row["id"] for row in rows}


def _fail_dependents_of_ended(connection: Connection, others: set[str], now: datetime) -> None:
    """Fail the jobs that wait for one of `others` that has failed or was cancelled since the caller looked it up."""
    for other in sorted(others):
        row = get_row(connection, other)
        if row is not None and row.state in {JobState.FAILED, JobState.CANCELLED}:
            for study in sorted(fail_dependents(connection, row, now)):
                refresh_study(connection, study, now)
