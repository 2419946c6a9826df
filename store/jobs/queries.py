"""Reads rows of jobs inside a transaction of the caller. `store/jobs/transitions.py` changes them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, not_, select, text

from prunescope.jobs.documents import Job, JobKind, JobState, JobSummary, Progress, artefact_id
from prunescope.store.database import in_pieces
from prunescope.store.tables import COUNTS_AS_KNOWN, dependencies, jobs, study_cells

_after = jobs.alias("after_job")
# An alias, because SQLAlchemy correlates the plain table with an enclosing statement that joins it: READY would then
# check the one dependency joined there instead of all dependencies of the job.
_earlier = dependencies.alias("earlier_job")

READY = not_(
    exists().where(_earlier.c.job == jobs.c.id, _earlier.c.after == _after.c.id, _after.c.state != JobState.SUCCEEDED)
)
"""Condition: all jobs that the job waits for have succeeded."""

KNOWN = text(f"jobs.{COUNTS_AS_KNOWN.text}")
"""Condition: the job is known, so that it is returned when the same spec is submitted again. The text is that of the
index `uq_jobs_known`, because SQLite uses the index only for the same text."""

COUNTING = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED})
"""The states of known jobs."""

SUMMARY = [column for column in jobs.c if column.name != "spec"]
"""The columns of a summary: all but the spec, which may be millions of characters long."""


def to_job(row: Row[Any]) -> Job:
    """The document of a job's row."""
    return Job(spec=row.spec, **_summary_fields(row))


def to_summary(row: Row[Any]) -> JobSummary:
    """Convert a database row to a `JobSummary`: the job without its spec."""
    return JobSummary(**_summary_fields(row))


def _summary_fields(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": JobKind(row.kind),
        "state": JobState(row.state),
        "brief": row.brief or {},
        "fingerprint": row.fingerprint,
        "progress": Progress.model_validate(row.progress),
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "attempts": row.attempts,
        "error": row.error,
        "result": row.result,
        "parent": row.parent,
        "cancel_requested": row.cancel_requested,
        "forced": row.forced,
        "sent": row.sent_at is not None,
    }


def get_row(connection: Connection, job: str) -> Row[Any] | None:
    """The row of a job; None if there is none."""
    return connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()


def known_row(connection: Connection, fingerprint: str) -> Row[Any] | None:
    """The row of the known job with this fingerprint; None if there is none. A unique index allows at most one."""
    return connection.execute(select(jobs).where(jobs.c.fingerprint == fingerprint, KNOWN)).one_or_none()


def known_jobs(connection: Connection, fingerprints: Iterable[str]) -> dict[str, str]:
    """Fingerprint -> id of the known job with this fingerprint; fingerprints without a known job are omitted."""
    wanted = set(fingerprints)
    columns = [jobs.c.id, jobs.c.fingerprint]
    found = makers(connection, map(artefact_id, wanted), columns)
    return {row.fingerprint: row.id for row in found if row.fingerprint in wanted}


def makers(
    connection: Connection, artefacts: Iterable[str], columns: Sequence[ColumnElement[Any]] = SUMMARY
) -> Iterator[Row[Any]]:
    """Yield the rows, with these columns and `known` and `state`, of the known jobs that make these artefacts."""
    query = select(*dict.fromkeys((*columns, jobs.c.known, jobs.c.state)))
    for ids in in_pieces(artefacts):
        # Filtered in Python: with a condition on the state, SQLite uses the index on states if there are many ids.
        for row in connection.execute(query.where(jobs.c.artefact.in_(ids))):
            if row.known and row.state in COUNTING:
                yield row


def studies_of(connection: Connection, *ids: str) -> list[str]:
    """Ids of the study jobs that have one of these jobs as a cell."""
    found: set[str] = set()
    for some in in_pieces(ids):
        studies = select(study_cells.c.study).where(study_cells.c.job.in_(some)).distinct()
        found |= set(connection.execute(studies).scalars())
    return sorted(found)


def cells_of(connection: Connection, study: str) -> Sequence[Row[Any, Any, Any, Any]]:
    """(id, state, parent, fingerprint) of the cells of a study, in the order of its plan."""
    cells = (
        select(jobs.c.id, jobs.c.state, jobs.c.parent, jobs.c.fingerprint)
        .join(study_cells, study_cells.c.job == jobs.c.id)
        .where(study_cells.c.study == study)
    )
    return connection.execute(cells.order_by(study_cells.c.position)).all()


def ready_after(connection: Connection, job: str) -> list[str]:
    """Ids of the queued jobs that wait for this job, are ready and have no message yet, oldest first."""
    waiting = select(jobs.c.id).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    ready = waiting.where(jobs.c.state == JobState.QUEUED, jobs.c.sent_at.is_(None), READY)
    return list(connection.execute(ready.order_by(jobs.c.created_at, jobs.c.id)).scalars())


def dependents(connection: Connection, job: str, states: Sequence[JobState]) -> Sequence[Row[Any]]:
    """Rows of the jobs in these states that wait for this job, oldest first."""
    waiting = select(jobs).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    return connection.execute(waiting.where(jobs.c.state.in_(states)).order_by(jobs.c.created_at, jobs.c.id)).all()


def waits_in_vain(connection: Connection, job: str) -> bool:
    """Whether any job that this job waits for failed or was cancelled."""
    lost = _after.c.state.in_([JobState.FAILED, JobState.CANCELLED])
    earlier = select(dependencies.c.after).join(_after, _after.c.id == dependencies.c.after)
    return connection.execute(earlier.where(dependencies.c.job == job, lost)).first() is not None


def describe(kind: str, spec: dict[str, Any]) -> str:
    """A short description of a job for messages, such as "prune demo with wanda"."""
    match kind:
        case "prune":
            return f"prune {spec['model']} with {spec['method']['name']}"
        case "evaluate":
            return f"evaluate {spec['model']}"
        case "attribute" | "explain":
            return f"{kind} {spec['dense']}"
        case _:
            return str(spec.get("name") or kind)
