"""Builds the documents of studies: the list, and one study with its table, models, failures and jobs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from prunescope.jobs.documents import JobState, JobSummary
from prunescope.jobs.labels import Described, study_title, told_apart
from prunescope.jobs.problems import bad_field, not_found
from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.jobs.documents import JobItem
from prunescope.server.jobs.queries import job_items
from prunescope.server.site.documents import Link, Page, Window
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores
from prunescope.server.studies.charts import chart_links, study_chart
from prunescope.server.studies.documents import FailedCell, StudyDocument, StudySummary
from prunescope.server.studies.query import StudyQuery, one_of
from prunescope.server.studies.tables import USUAL_TABLES, Tables, axis_labels, axis_sizes, printed_values
from prunescope.store.artefacts.records import Record
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.paging import LONGEST_PAGE
from prunescope.store.studies import published as papers
from prunescope.store.studies import table as study_table
from prunescope.store.studies.pivot import pivot
from prunescope.store.studies.table import AXES

MAX_LISTED = 20
"""Maximum number of models, of jobs and of failed cells in a study's document."""
ROLES = {"dense": "Evaluate", "prune": "Prune", "evaluate": "Evaluate pruned", "attribute": "Attribute"}


def study_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[StudySummary]:
    """A page of the list of studies, newest first."""
    records, after = stores.results.list("study", cursor=cursor, limit=limit)
    made = [(record, record.job) for record in records if record.job is not None]
    jobs = stores.jobs.summaries(job for _, job in made)
    counts = stores.studies.counts(job for _, job in made)
    titles = stores.names.studies()
    items = [StudySummary.model_validate(_summary(record, jobs[job], counts[job], titles)) for record, job in made]
    return Page[StudySummary](items=items, next=after, next_href=urls.studies(cursor=after) if after else None)


def study_document(stores: Stores, id: str, query: StudyQuery) -> StudyDocument:
    """One study with the table that ``query`` chooses. Raises Problem 404 for an unknown study, 422 for a value of the
    query that the study does not have."""
    paper = None if query.published is None else papers.published_table(query.published)
    record = stores.results.get("study", id)
    measures = stores.studies.measures(record)
    by = one_of("measure", query.measure, measures)
    show = one_of("show", query.show, (by, "difference"))
    if paper is not None and by != ACCURACY:
        raise bad_field("published", paper.name, None, f"the paper prints no {by}; leave it out, or ask for accuracy")
    table = stores.studies.table(id, by)
    usual = _usual(table)
    rows, columns = _axes(query, usual)
    chosen = pivot(table, rows, columns, query.where)
    query = query.with_(
        rows=chosen.rows,
        columns=chosen.columns,
        measure=None if by == measures[0] else by,
        show=None if show == by else show,
        **chosen.where,
    )
    names = Names(stores, [*table.axes["model"]])
    pruned = [cell.artefact for cell in table.cells if cell.role == "prune" and cell.done]
    existing = stores.results.known("model", pruned)
    pruned = [model for model in pruned if model in existing]
    models = stores.results.many("model", pruned[:MAX_LISTED])
    failed = [cell for cell in table.cells if cell.unsuccessful]
    labels = axis_labels(table, names)
    tables = Tables(table, labels, existing, paper)
    states = Counter(cell.state for cell in table.cells)
    jobs = _jobs(stores, id, [cell.job for cell in table.cells], Window(0, MAX_LISTED))
    return StudyDocument.model_validate(
        {
            **_summary(record, table.job, states, stores.names.studies()),
            "spec": record.spec,
            "axes": table.axes,
            "axis_labels": labels,
            "filters": {axis: [*values] for axis, values in chosen.where.items()},
            "measure": by,
            "measures": measures,
            "show": show,
            "table": tables.document(chosen),
            "chart": None if query.chart is None else study_chart(query.chart, query, tables),
            "charts": chart_links(table, query),
            "published": paper,
            "published_tables": [
                name
                for name, printed in papers.published_tables().items()
                if by == ACCURACY and printed_values(printed, table, chosen)
            ],
            "tables": [
                Link(
                    label=f"{down} by {across}",
                    href=urls.study(id, **query.with_(rows=down, columns=across, chart=None).state),
                )
                for down, across in usual
            ],
            "models": [
                Link(label=_model_label(models[model], table, names), href=urls.model(model))
                for model in pruned[:MAX_LISTED]
            ],
            "models_total": len(pruned),
            "attributions": _attributions(stores, table),
            "failures": _failures(failed[:MAX_LISTED], names),
            "retry_href": urls.study_retry(id) if failed else None,
            "running": states[JobState.RUNNING],
            "jobs": jobs.items,
            "jobs_next_href": jobs.next_href,
        }
    )


def _axes(query: StudyQuery, usual: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """(rows, columns) of the query. A missing one is taken from the first usual table that has the other one."""
    columns = query.columns or next((each[1] for each in usual if query.rows in (None, each[0])), None)
    rows = query.rows or next((each[0] for each in usual if query.columns in (None, each[1])), usual[0][0])
    return rows, columns or next(axis for axis in AXES if axis != rows)


def study_jobs(stores: Stores, id: str, *, cursor: str | None = None, limit: int = 50) -> Page[JobItem]:
    """A page of a study's jobs, in the order of its grid. Raises Problem 404 for the study, 422 for cursor or limit."""
    window = Window.parse(cursor, limit, LONGEST_PAGE)
    record = stores.results.get("study", id)
    if record.job is None:
        raise not_found("study", id)
    return _jobs(stores, id, stores.studies.cell_jobs(record.job), window)


def _jobs(stores: Stores, id: str, cells: Sequence[str], window: Window) -> Page[JobItem]:
    wanted = cells[window.offset : window.offset + window.limit]
    known = stores.jobs.summaries(wanted)
    after = window.after(len(cells))
    return Page[JobItem](
        items=job_items(stores, [known[job] for job in wanted]),
        next=after,
        next_href=urls.study_jobs(id, cursor=after) if after else None,
    )


def _attributions(stores: Stores, table: study_table.StudyTable) -> list[Link]:
    labels = stores.names.attributions()
    return [
        Link(label=f"Neurons: {labels[cell.artefact]}", href=urls.attribution(cell.artefact))
        for cell in table.cells
        if cell.role == "attribute" and cell.done and cell.artefact in labels
    ]


def _failures(cells: Sequence[study_table.StudyCell], names: Names) -> list[FailedCell]:
    labels = told_apart([Described(_failed_label(cell, names), (f"job {cell.job[:8]}",)) for cell in cells])
    return [
        FailedCell(
            label=label,
            state=cell.state,
            error=cell.error,
            job=cell.job,
            href=urls.job(cell.job),
            retry_href=urls.job_retry(cell.job),
        )
        for cell, label in zip(cells, labels, strict=True)
    ]


def _failed_label(cell: study_table.StudyCell, names: Names) -> str:
    length = f"{cell.seqlen} tokens" if cell.seqlen else None
    allocation = None if cell.allocation == "uniform" else cell.allocation
    seed = f"seed {cell.seed}" if cell.seed else None
    settings = (cell.method, cell.pattern, cell.calibration, length, allocation, seed)
    return " · ".join([f"{ROLES[cell.role]} {names.label(cell.model)}", *filter(None, settings)])


def _model_label(record: Record, table: study_table.StudyTable, names: Names) -> str:
    """The label of a pruned model, preceded by its dense model's if the study has several dense models."""
    label = names.label(f"{PRUNED}{record.id}")
    return f"{names.label(record.spec['model'])} · {label}" if len(table.axes["model"]) > 1 else label


def _summary(record: Record, job: JobSummary, cells: Counter[JobState], titles: Mapping[str, str]) -> dict[str, object]:
    return {
        "id": record.id,
        "title": titles.get(record.id) or study_title(record.spec),
        "state": job.state,
        "cells": cells.total(),
        "done": cells[JobState.SUCCEEDED],
        "failed": cells[JobState.FAILED] + cells[JobState.CANCELLED],
        "job": Link(label="Job", href=urls.job(job.id)),
        "created_at": record.created_at,
        "href": urls.study(record.id),
    }


def _usual(table: study_table.StudyTable) -> list[tuple[str, str]]:
    """The pairs (rows, columns) of `USUAL_TABLES` whose axes have several values in this study (tasks as rows: any
    number), the pair with the most cells first. If there is none, the first of `USUAL_TABLES`."""
    sizes = axis_sizes(table.axes)
    fitting = [
        (down, across) for down, across in USUAL_TABLES if sizes[across] > 1 and (sizes[down] > 1 or down == "task")
    ]
    return sorted(fitting, key=lambda pair: -sizes[pair[0]] * sizes[pair[1]]) or list(USUAL_TABLES)[:1]
