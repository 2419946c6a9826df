"""Updates a study's row from its cells: the study starts with its first cell, its progress is the number of ended
cells, and it ends after the last one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, case, exists, func, not_, select, update

from prunescope.jobs.documents import ACTIVE, ENDED, JobState, Progress, artefact_id
from prunescope.jobs.problems import Problem
from prunescope.store.jobs.queries import describe, get_row, studies_of
from prunescope.store.tables import jobs, study_cells


def refresh_study(connection: Connection, study: str, now: datetime) -> None:
    """Update the state and progress of a study from its cells; an ended study is not changed. The study fails if any
    cell did not succeed."""
    row = get_row(connection, study)
    if row is None or row.state in ENDED:
        return
    cells = _count_cells(connection, row)
    values: dict[str, Any] = {"progress": _progress(row, cells, now).model_dump(mode="json")}
    if cells.count[JobState.QUEUED] < cells.all:
        values |= {"state": JobState.RUNNING, "started_at": row.started_at or now}
    # A cancelled study does not wait for cells that belong to another study or were submitted separately.
    if (cells.own_unfinished if row.cancel_requested else cells.unfinished) == 0:
        values |= {"finished_at": now, "cancel_requested": False}
        if row.cancel_requested:
            values["state"] = JobState.CANCELLED
        elif cells.unsuccessful:
            values |= {"state": JobState.FAILED, "error": _cells_failed(connection, study, cells)}
        else:
            values |= {"state": JobState.SUCCEEDED, "result": {"study": artefact_id(row.fingerprint)}}
    connection.execute(update(jobs).where(jobs.c.id == study).values(values))


def wake_studies(connection: Connection, cells: Iterable[str], now: datetime) -> None:
    """After cells were queued again, set the failed studies that have these cells to running. Cancelled studies, and
    studies whose fingerprint another known job has, are not changed."""
    for study in studies_of(connection, *cells):
        failed = and_(jobs.c.id == study, jobs.c.state == JobState.FAILED, not_(_known_duplicate(study)))
        connection.execute(
            update(jobs)
            .where(failed)
            .values(state=JobState.RUNNING, known=True, finished_at=None, error=None, result=None)
        )
        refresh_study(connection, study, now)


def _known_duplicate(study: str) -> Any:
    """Condition: another known job has the fingerprint of this study."""
    own = jobs.alias("own")
    other = jobs.alias("other")
    states = [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    return exists().where(
        own.c.id == study,
        other.c.fingerprint == own.c.fingerprint,
        other.c.id != study,
        other.c.known,
        other.c.state.in_(states),
    )


@dataclass(frozen=True)
class _Cells:
    """Numbers of a study's cells: `count` in each state, `own_unfinished` unfinished cells that belong to the study,
    `fresh` cells that ended after the study started."""

    count: Counter[JobState]
    own_unfinished: int
    fresh: int

    @property
    def all(self) -> int:
        return self.count.total()

    @property
    def unfinished(self) -> int:
        return sum(self.count[state] for state in ACTIVE)

    @property
    def unsuccessful(self) -> int:
        return self.count[JobState.FAILED] + self.count[JobState.CANCELLED]


def _count_cells(connection: Connection, study: Row[Any]) -> _Cells:
    # Counted by the database: a large study has thousands of cells, and each of them causes two calls.
    own = func.sum(case((jobs.c.parent == study.id, 1), else_=0))
    fresh = func.sum(case((jobs.c.finished_at >= (study.started_at or study.created_at), 1), else_=0))
    query = select(jobs.c.state, func.count(), own, fresh).join(study_cells, study_cells.c.job == jobs.c.id)
    rows = connection.execute(query.where(study_cells.c.study == study.id).group_by(jobs.c.state)).all()
    return _Cells(
        count=Counter({JobState(state): count for state, count, _, _ in rows}),
        own_unfinished=sum(own for state, _, own, _ in rows if state in ACTIVE),
        fresh=sum(fresh for _, _, _, fresh in rows),
    )


def _progress(study: Row[Any], cells: _Cells, now: datetime) -> Progress:
    eta = None
    if study.started_at is not None and cells.fresh:
        eta = (now - study.started_at).total_seconds() / cells.fresh * cells.unfinished
    parts = ((cells.count[JobState.RUNNING], "running"), (cells.unsuccessful, "did not succeed"))
    return Progress(
        stage="cells",
        done=cells.all - cells.unfinished,
        total=cells.all,
        unit="cells",
        message=", ".join(f"{count} {word}" for count, word in parts if count),
        eta_seconds=eta,
    )


def _cells_failed(connection: Connection, study: str, cells: _Cells) -> dict[str, Any]:
    query = select(jobs).join(study_cells, study_cells.c.job == jobs.c.id).where(study_cells.c.study == study)
    query = query.where(jobs.c.state.in_([JobState.FAILED, JobState.CANCELLED])).order_by(study_cells.c.position)
    # The first cell with an error of its own, if any, rather than one that was cancelled or whose dependency failed.
    first = min(connection.execute(query), key=lambda row: (row.error or {}).get("code") in {None, "failed-dependency"})
    reason = (first.error or {}).get("detail") or "it was cancelled"
    detail = (
        f"{cells.unsuccessful} of {cells.all} cells did not succeed; "
        f"the first is job {first.id} ({describe(first.kind, first.spec)}): {reason}"
    )
    return Problem(424, "cells-failed", "Cells of the study did not succeed", detail).document()
