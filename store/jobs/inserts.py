"""New jobs, one or a whole study of them, inside an exclusive transaction that the caller holds.

Rows go in together: a study of 20,000 cells is a few statements, not a hundred thousand.
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
    """A job to be made: `after` are positions, in the same list, of jobs that must have succeeded before it, and
    `waits_for` ids of jobs that are there already."""

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
    """(id, created): the known job with this fingerprint, or a new queued one. `force` always makes a new one, which
    then is the known."""
    new = NewJob(kind, spec, fingerprint, waits_for=tuple(after))
    ((job,), created) = insert_jobs(connection, [new], now, force=force, parent=parent)
    return job, bool(created)


def insert_jobs(
    connection: Connection, wanted: Sequence[NewJob], now: datetime, *, force: bool, parent: str | None
) -> tuple[list[str], set[str]]:
    """(ids, those of them that were created): for each the known job with its fingerprint, or a new queued one.

    What is wanted twice is made once. `force` makes all of them anew, which then are the known ones.
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
            earlier = {found[place] for place in new.after} | set(new.waits_for)
            pairs += [{"job": job, "after": other} for other in sorted(earlier)]
        found.append(job)
    if rows:
        connection.execute(insert(jobs), rows)
    if pairs:
        connection.execute(insert(dependencies), pairs)
    _fail_what_waits_in_vain(connection, {other for new in wanted for other in new.waits_for}, now)
    return found, {row["id"] for row in rows}


def _fail_what_waits_in_vain(connection: Connection, others: set[str], now: datetime) -> None:
    # The cells of a study wait for each other, and those are queued, running or done; what they were told to wait for
    # may have ended meanwhile.
    for other in sorted(others):
        row = get_row(connection, other)
        if row is not None and row.state in {JobState.FAILED, JobState.CANCELLED}:
            for study in sorted(fail_dependents(connection, row, now)):
                refresh_study(connection, study, now)
