"""Rows of jobs, read inside a transaction that the caller holds. What moves them is in `store/jobs/transitions.py`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, not_, select, text

from prunescope.jobs.documents import Job, JobKind, JobState, JobSummary, Progress, artefact_id
from prunescope.store.database import in_pieces
from prunescope.store.tables import COUNTS_AS_KNOWN, dependencies, jobs, study_cells

_after = jobs.alias("after_job")
# A name of its own: under the table's plain name the clause would take its rows from any statement around it that joins
# the same table, and ask about the one dependency joined there instead of about all of the job's.
_earlier = dependencies.alias("earlier_job")

READY = not_(
    exists().where(_earlier.c.job == jobs.c.id, _earlier.c.after == _after.c.id, _after.c.state != JobState.SUCCEEDED)
)
"""Everything that the job waits for has succeeded."""

KNOWN = text(f"jobs.{COUNTS_AS_KNOWN.text}")
"""Counts when the same spec is submitted again. In the index's own words: SQLite finds the index by them alone."""


COUNTING = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED})
"""The states that `KNOWN` has."""

SUMMARY = [column for column in jobs.c if column.name != "spec"]
"""What a summary is made of: a spec may be millions of characters long."""


def to_job(row: Row[Any]) -> Job:
    """The document of a row."""
    return Job(spec=row.spec, **_summary_fields(row))


def to_summary(row: Row[Any]) -> JobSummary:
    """The document of a row without its spec."""
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
    """The row of a job."""
    return connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()


def known_row(connection: Connection, fingerprint: str) -> Row[Any] | None:
    """The job that queues, runs or has succeeded with this fingerprint; at most one, the database sees to it."""
    return connection.execute(select(jobs).where(jobs.c.fingerprint == fingerprint, KNOWN)).one_or_none()


def known_jobs(connection: Connection, fingerprints: Iterable[str]) -> dict[str, str]:
    """Fingerprint -> id of the job that is known with it, for those that have one."""
    wanted = set(fingerprints)
    columns = [jobs.c.id, jobs.c.fingerprint]
    found = makers(connection, map(artefact_id, wanted), columns)
    return {row.fingerprint: row.id for row in found if row.fingerprint in wanted}


def makers(
    connection: Connection, artefacts: Iterable[str], columns: Sequence[ColumnElement[Any]] = SUMMARY
) -> Iterator[Row[Any]]:
    """Of the known jobs that make these artefacts these columns, and what says that they are known."""
    query = select(*dict.fromkeys((*columns, jobs.c.known, jobs.c.state)))
    for ids in in_pieces(artefacts):
        # What is known is chosen here: of two indices SQLite takes the one of states where many ids are asked for.
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
    """Queued jobs that waited for this one, are ready and have no message yet, in the order of their making."""
    waiting = select(jobs.c.id).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    ready = waiting.where(jobs.c.state == JobState.QUEUED, jobs.c.sent_at.is_(None), READY)
    return list(connection.execute(ready.order_by(jobs.c.created_at, jobs.c.id)).scalars())


def dependents(connection: Connection, job: str, states: Sequence[JobState]) -> Sequence[Row[Any]]:
    """Rows of the jobs in these states that wait for this one, in the order of their making."""
    waiting = select(jobs).join(dependencies, dependencies.c.job == jobs.c.id).where(dependencies.c.after == job)
    return connection.execute(waiting.where(jobs.c.state.in_(states)).order_by(jobs.c.created_at, jobs.c.id)).all()


def waits_in_vain(connection: Connection, job: str) -> bool:
    """Something that the job waits for did not succeed."""
    lost = _after.c.state.in_([JobState.FAILED, JobState.CANCELLED])
    earlier = select(dependencies.c.after).join(_after, _after.c.id == dependencies.c.after)
    return connection.execute(earlier.where(dependencies.c.job == job, lost)).first() is not None


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
