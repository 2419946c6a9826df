"""Studies: the grid as a table, with what is best, at chance and still to come."""

from collections import Counter
from collections.abc import Collection

from jobs.documents import Job, JobKind, JobState
from jobs.problems import bad_field, unknown_name
from jobs.vocabulary import TASKS
from server import urls
from server.documents import Link, Page, StudyCell, StudyDocument, StudyRow, StudySummary, StudyTable
from server.read.jobs import job_documents
from server.read.names import Names, pruned_label, study_title
from server.stores import Stores
from store import study_table
from store.published import PublishedTable, published_table, published_tables
from store.results import Record
from store.study_table import AXES, Axis, Pivot, PivotCell, pivot

USUAL_TABLES: tuple[tuple[Axis, Axis], ...] = (
    ("task", "calibration"),
    ("model", "calibration"),
    ("task", "pattern"),
    ("method", "calibration"),
    ("task", "method"),
    ("method", "pattern"),
    ("task", "seqlen"),
    ("method", "seqlen"),
    ("task", "model"),
    ("task", "allocation"),
    ("task", "seed"),
)
SHOWN = ("accuracy", "difference")
NO_CALIBRATION = "none"


def study_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[StudySummary]:
    """Newest first."""
    records, after = stores.results.list("study", cursor=cursor, limit=limit)
    made = [(record, record.job) for record in records if record.job is not None]
    jobs = stores.jobs.many(job for _, job in made)
    counts = stores.studies.counts(job for _, job in made)
    items = [StudySummary.model_validate(_summary(record, jobs[job], counts[job])) for record, job in made]
    return Page[StudySummary](items=items, next=after, next_href=urls.studies(cursor=after) if after else None)


def study_document(
    stores: Stores,
    id: str,
    *,
    rows: str | None = None,
    columns: str | None = None,
    show: str = "accuracy",
    published: str | None = None,
) -> StudyDocument:
    """One study with the table that ``rows`` and ``columns`` choose, beside a ``published`` one. Problem 404 or 422."""
    paper = None if published is None else published_table(published)
    if show not in SHOWN:
        raise bad_field("show", show, list(SHOWN), unknown_name(show, SHOWN))
    record = stores.results.get("study", id)
    table = stores.studies.table(id)
    usual = _usual(table)
    across = columns or next((each[1] for each in usual if rows is None or each[0] == rows), None)
    down = rows or next((each[0] for each in usual if columns is None or each[1] == columns), usual[0][0])
    chosen = pivot(table, down, across or next(axis for axis in AXES if axis != down))
    names = Names(stores, [*table.axes["model"]])
    cells = table.cells
    done = [cell for cell in cells if cell.role == "attribute" and cell.done]
    attributions = stores.results.many("attribution", [cell.artefact for cell in done])
    pruned = [cell for cell in cells if cell.role == "prune" and cell.done]
    models = stores.results.many("model", [cell.artefact for cell in pruned])
    jobs = stores.jobs.many(cell.job for cell in cells)
    return StudyDocument.model_validate(
        {
            **_summary(record, table.job, Counter(cell.state for cell in cells)),
            "spec": record.spec,
            "axes": table.axes,
            "show": show,
            "table": _table(table, chosen, names, models.keys(), paper),
            "published": published,
            "published_tables": [
                name
                for name, each in published_tables().items()
                if any(
                    _printed(each, table, chosen, row, column) is not None
                    for row in chosen.row_labels
                    for column in chosen.column_labels
                )
            ],
            "tables": [
                Link(label=f"{down} by {across}", href=urls.study(id, rows=down, columns=across, show=show))
                for down, across in usual
            ],
            "models": [
                Link(label=_model_label(models[cell.artefact], table, names), href=urls.model(cell.artefact))
                for cell in pruned
                if cell.artefact in models
            ],
            "attributions": [
                Link(label=f"Neurons of {names.label(cell.model)}", href=urls.attribution(cell.artefact))
                for cell in done
                if cell.artefact in attributions
            ],
            "jobs": job_documents(stores, [jobs[cell.job] for cell in cells]),
        }
    )


def _model_label(record: Record, table: study_table.StudyTable, names: Names) -> str:
    """How it was pruned, and from what where the study has several models."""
    label = record.summary.get("label") or pruned_label(record.spec)
    return f"{names.label(record.spec['model'])} · {label}" if len(table.axes["model"]) > 1 else str(label)


def _summary(record: Record, job: Job, cells: Counter[JobState]) -> dict[str, object]:
    assert job.kind == JobKind.STUDY
    return {
        "id": record.id,
        "title": study_title(record.spec),
        "state": job.state,
        "cells": cells.total(),
        "done": cells[JobState.SUCCEEDED],
        "failed": cells[JobState.FAILED] + cells[JobState.CANCELLED],
        "job": Link(label="Job", href=urls.job(job.id)),
        "created_at": record.created_at,
        "href": urls.study(record.id),
    }


def _usual(table: study_table.StudyTable) -> list[tuple[Axis, Axis]]:
    """The usual tables whose columns differ in this study, and whose rows do, except for tasks; the one with the most
    cells first; at least one. That a method has no calibration set is no value to compare."""
    sizes = {axis: sum(value != NO_CALIBRATION for value in table.axes[axis]) for axis in AXES}
    fitting = [
        (down, across) for down, across in USUAL_TABLES if sizes[across] > 1 and (sizes[down] > 1 or down == "task")
    ]
    return sorted(fitting, key=lambda pair: -sizes[pair[0]] * sizes[pair[1]]) or list(USUAL_TABLES[:1])


def _printed(
    paper: PublishedTable, table: study_table.StudyTable, crossed: Pivot, row: str, column: str
) -> float | None:
    """What the paper's table has for a cell of ours. One that is a mean over one of our axes has nothing for it."""
    if not {crossed.rows, crossed.columns} <= set(paper.axes):
        return None
    alone = {axis: labels[0] for axis, labels in table.axes.items() if len(labels) == 1}
    return paper.value({**alone, crossed.rows: row, crossed.columns: column})


def _table(
    table: study_table.StudyTable,
    crossed: Pivot,
    names: Names,
    models: Collection[str],
    paper: PublishedTable | None,
) -> StudyTable:
    def shown(axis: str, label: str) -> str:
        return names.label(label) if axis == "model" else label

    def printed(row: str, column: str) -> float | None:
        return None if paper is None else _printed(paper, table, crossed, row, column)

    rows = []
    for label, dense, cells in zip(crossed.row_labels, crossed.dense, crossed.cells, strict=True):
        known = [cell.accuracy for cell in cells if cell is not None and cell.accuracy is not None]
        chances = {cell.chance for cell in cells if cell is not None and cell.chance is not None}
        best = max(known, default=None) if len(known) > 1 else None
        rows.append(
            StudyRow(
                label=shown(crossed.rows, label),
                group=TASKS.get(label) if crossed.rows == "task" else None,
                dense=dense,
                chance=chances.pop() if len(chances) == 1 else None,
                spread=max(known) - min(known) if len(known) > 1 else None,
                cells=[
                    None if cell is None else _cell(cell, best, models, printed(label, column))
                    for column, cell in zip(crossed.column_labels, cells, strict=True)
                ],
            )
        )
    others = [axis for axis in AXES if axis not in {crossed.rows, crossed.columns}]
    differences = [abs(c.difference) for row in rows for c in row.cells if c is not None and c.difference is not None]
    return StudyTable(
        rows_axis=crossed.rows,
        columns_axis=crossed.columns,
        columns=[shown(crossed.columns, label) for label in crossed.column_labels],
        rows=rows,
        averaged=[axis for axis in others if len(table.axes[axis]) > 1],
        largest_difference=max(differences, default=0.0),
    )


def _cell(cell: PivotCell, best: float | None, models: Collection[str], published: float | None) -> StudyCell:
    low, high = cell.interval or (cell.accuracy, cell.accuracy)
    at_chance = cell.chance is not None and low is not None and high is not None and low <= cell.chance <= high
    href = None
    if cell.accuracy is not None and cell.evaluation and cell.task:
        href = urls.evaluation_task(cell.evaluation, cell.task)
    elif cell.job:
        href = urls.job(cell.job)
    return StudyCell(
        accuracy=cell.accuracy,
        dense=cell.dense,
        difference=cell.difference,
        interval=cell.interval,
        at_chance=at_chance,
        best=best is not None and cell.accuracy == best,
        measurements=cell.facts,
        done=cell.done,
        state=cell.state,
        href=href,
        model_href=urls.model(cell.pruned) if cell.pruned and cell.pruned in models else None,
        published=published,
    )
