"""A study's row follows its cells: it starts with the first, is as far as they are, and ends after the last of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, not_, or_, update

from jobs.documents import ACTIVE, ENDED, JobState, Progress, artefact_id
from jobs.problems import Problem
from store.job_rows import cells_of, describe, get_row, studies_of
from store.tables import jobs


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
            values |= {"state": JobState.SUCCEEDED, "result": {"study": artefact_id(row.fingerprint)}}
    connection.execute(update(jobs).where(jobs.c.id == study).values(values))


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


def _cells_failed(failed: Sequence[Row[Any]], cells: int) -> dict[str, Any]:
    # A cell that failed by itself says more than one that only waited for it.
    first = min(failed, key=lambda cell: (cell.error or {}).get("code") in {None, "failed-dependency"})
    reason = (first.error or {}).get("detail") or "it was cancelled"
    detail = (
        f"{len(failed)} of {cells} cells did not succeed; "
        f"the first is job {first.id} ({describe(first.kind, first.spec)}): {reason}"
    )
    return Problem(424, "cells-failed", "Cells of the study did not succeed", detail).document()
