"""Submits studies as jobs and reads their cells and tables. `store/jobs/progress.py` updates a study's state from its
cells."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, func, insert, select, type_coerce

from prunescope.jobs.documents import Job, JobKind, JobState, artefact_id
from prunescope.jobs.problems import not_found
from prunescope.jobs.specs import StudySpec
from prunescope.store.artefacts.records import RESULT_OF, Record, Results, add_record, models_of
from prunescope.store.database import Database
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.evaluations.values import ACCURACY, OF_LABELS, Measure
from prunescope.store.jobs.inserts import NewJob, insert_job, insert_jobs
from prunescope.store.jobs.progress import refresh_study
from prunescope.store.jobs.queries import get_row, to_job
from prunescope.store.jobs.store import JobStore, utc_now
from prunescope.store.studies.grid import Cell
from prunescope.store.studies.table import StudyCell, StudyTable, measures_of, study_table
from prunescope.store.tables import jobs, study_cells

KEPT_TABLES = 4
"""Number of tables in the cache, which are valid as long as their data is unchanged. A large table takes a quarter of a
second to compute and 20 MB."""


class Studies:
    """All studies of an installation."""

    def __init__(
        self,
        database: Database,
        job_store: JobStore,
        results: Results,
        measurements: Measurements,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.database = database
        self.jobs = job_store
        self.results = results
        self.measurements = measurements
        self.now = now
        self._tables: dict[tuple[str, Measure], tuple[object, StudyTable]] = {}
        self._labelled: dict[str, tuple[int, bool]] = {}
        """Study's job -> (revision of the measurements, whether any task with fixed labels was measured)."""
        self._lock = threading.Lock()

    def submit(
        self,
        spec: StudySpec,
        fingerprint: str,
        cells: Sequence[Cell],
        *,
        force: bool = False,
        after: dict[str, str] | None = None,
    ) -> tuple[Job, bool]:
        """Insert a study with all of its cells; returns (the study's job, created). If the study is known already
        (queued, running or succeeded), its job is returned; so is each known cell reused.

        `force` inserts new jobs for the study and all cells. `after` maps the id of a pruned model of the grid to the
        job that still makes it. The caller sends the messages of `JobStore.unsent` afterwards.
        """
        document = spec.model_dump(mode="json")
        now = self.now()
        with self.database.exclusive() as connection:
            study, created = insert_job(
                connection, JobKind.STUDY, document, fingerprint, now, force=force, parent=None, after=()
            )
            if created:
                wanted = [_new_job(cell, after or {}) for cell in cells]
                later = now + timedelta(microseconds=1)
                made, _ = insert_jobs(connection, wanted, later, force=force, parent=study)
                places = [
                    {"study": study, "position": position, "job": job, "coordinates": cell.coordinates}
                    for position, (job, cell) in enumerate(zip(made, cells, strict=True))
                ]
                connection.execute(insert(study_cells), places)
                used = [(RESULT_OF[cell.kind], artefact_id(cell.fingerprint)) for cell in cells]
                add_record(
                    connection,
                    "study",
                    artefact_id(fingerprint),
                    now,
                    job=study,
                    spec=document,
                    summary={"name": spec.name, "cells": len(cells)},
                    used=[*used, *models_of(document)],
                )
                refresh_study(connection, study, now)
            row = get_row(connection, study)
        assert row is not None
        return to_job(row), created

    def cells(self, study_job: str) -> list[StudyCell]:
        """The cells of the study with this job, in the order of its plan."""
        query = (
            select(
                jobs.c.id,
                jobs.c.kind,
                jobs.c.state,
                jobs.c.fingerprint,
                jobs.c.error,
                study_cells.c.position,
                study_cells.c.coordinates,
            )
            .join(study_cells, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study == study_job)
            .order_by(study_cells.c.position)
        )
        with self.database.reading() as connection:
            return [_to_cell(row) for row in connection.execute(query).all()]

    def cell_jobs(self, study_job: str, limit: int | None = None) -> list[str]:
        """Ids of the jobs of a study's first `limit` cells (None: all)."""
        query = select(study_cells.c.job).where(study_cells.c.study == study_job)
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(study_cells.c.position).limit(limit)).scalars()]

    def counts(self, study_jobs: Iterable[str]) -> dict[str, Counter[JobState]]:
        """Id of a study's job -> number of its cells in each state, for all of `study_jobs` in one query."""
        found: dict[str, Counter[JobState]] = {study: Counter() for study in study_jobs}
        query = (
            select(study_cells.c.study, jobs.c.state, func.count())
            .join(jobs, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study.in_(list(found)))
            .group_by(study_cells.c.study, jobs.c.state)
        )
        with self.database.reading() as connection:
            for study, state, count in connection.execute(query):
                found[study][JobState(state)] = count
        return found

    def table(self, name: str, measure: Measure = ACCURACY) -> StudyTable:
        """The table of the study with this id (16 hex digits) for one of its `measures`, from the
        cache if its data is unchanged. Raises Problem 404 if there is no such study."""
        study = self.results.get("study", name)
        if study.job is None:
            raise not_found("study", name)
        # Read before the data: a change during reading then invalidates the cached table at the next request.
        job = self.jobs.get(study.job)
        state = (self.measurements.revision(), study, job, self._cell_states(study.job))
        with self._lock:
            known = self._tables.get((name, measure))
        if known is not None and known[0] == state:
            return known[1]
        found = self.measurements.of_study(study.job, measure)
        table = study_table(study, job, self.cells(study.job), found, measure)
        with self._lock:
            self._tables[name, measure] = (state, table)
            while len(self._tables) > KEPT_TABLES:
                self._tables.pop(next(iter(self._tables)))
        return table

    def measures(self, study: Record) -> list[Measure]:
        """The measures of a study: those in its spec (`measures_of`), and those of tasks with fixed labels if any such
        task has been measured."""
        measures = measures_of(study.spec)
        if study.job is None or not study.spec["tasks"]:
            return measures
        revision = self.measurements.revision()
        known = self._labelled.get(study.job)
        if known is None or known[0] != revision:
            known = self._labelled[study.job] = (revision, self.measurements.has_labels(study.job))
        return [*measures, *OF_LABELS] if known[1] else measures

    def _cell_states(self, study_job: str) -> list[tuple[Any, ...]]:
        """(position, job, state, error) of every cell of a study: all data of cells that can change."""
        query = (
            select(study_cells.c.position, jobs.c.id, jobs.c.state, type_coerce(jobs.c.error, Text))
            .join(study_cells, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study == study_job)
            .order_by(study_cells.c.position)
        )
        with self.database.reading() as connection:
            return [tuple(row) for row in connection.execute(query).all()]

    def advance(self, job: str) -> list[str]:
        """After a job has ended: ids of the jobs that waited for it and are now ready, whose messages must be sent. The
        same as `JobStore.advance`."""
        return self.jobs.advance(job)


def _new_job(cell: Cell, pending: dict[str, str]) -> NewJob:
    document = cell.spec.model_dump(mode="json")
    waits_for = tuple(job for model, job in pending.items() if ("model", model) in models_of(document))
    return NewJob(cell.kind, document, cell.fingerprint, cell.after, waits_for)


def _to_cell(row: Any) -> StudyCell:
    return StudyCell(
        position=row.position,
        job=row.id,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        artefact=artefact_id(row.fingerprint),
        error=None if row.error is None else row.error.get("detail"),
        **row.coordinates,
    )
