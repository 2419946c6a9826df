"""Reads jobs: lists and documents."""

from collections import Counter
from collections.abc import Sequence

from prunescope.jobs.documents import ACTIVE, Job, JobKind, JobState, JobSummary
from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.jobs.references import references_of
from prunescope.server import urls
from prunescope.server.jobs.documents import JobDetail, JobDocument, JobItem
from prunescope.server.labels import Described, told_apart
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores

MAX_CHILDREN = 100
"""So many cells of a study are part of its job's document."""
RETRIABLE = frozenset({JobState.FAILED, JobState.CANCELLED})


def job_list(
    stores: Stores,
    *,
    kind: str | None = None,
    state: str | None = None,
    cells: bool = True,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[JobItem]:
    """A page of the list of jobs, newest first; ``cells=False`` leaves out studies' cells. Problem 422 for a wrong
    filter."""
    for name, given, known in (("kind", kind, list(JobKind)), ("state", state, list(JobState))):
        if given is not None and given not in known:
            names = [str(value) for value in known]
            raise bad_field(name, given, names, unknown_name(given, names))
    items, after = stores.jobs.list(kind=kind, state=state, cells=cells, cursor=cursor, limit=limit)
    filters: dict[str, urls.State] = {"kind": kind, "state": state, "cells": None if cells else False}
    href = urls.jobs(**filters, cursor=after) if after else None
    return Page[JobItem](items=job_items(stores, items), next=after, next_href=href)


def job_document(stores: Stores, job: Job) -> JobDocument:
    """The document of one job, with its whole spec."""
    names = Names(stores, references_of(job.brief))
    return JobDocument.model_validate(_fields(job, names.title(job.kind, job.brief)))


def job_items(stores: Stores, jobs: Sequence[JobSummary]) -> list[JobItem]:
    """Several jobs without their specs, their names looked up together."""
    names = Names(stores, (reference for job in jobs for reference in references_of(job.brief)))
    titled = zip(jobs, _titles(jobs, names), strict=True)
    return [JobItem.model_validate(_fields(job, title)) for job, title in titled]


def _titles(jobs: Sequence[JobSummary], names: Names) -> list[str]:
    """Titles of jobs; equal ones are made different by their settings or ids."""
    titles = [names.title(job.kind, job.brief) for job in jobs]
    often = Counter(titles)
    facts = [
        names.facts(job.kind, job.brief) if often[title] > 1 else () for job, title in zip(jobs, titles, strict=True)
    ]
    most = max(map(len, facts), default=0)
    return told_apart(
        [
            Described(title, (*found, *[""] * (most - len(found)), f"job {job.id[:8]}"))
            for job, title, found in zip(jobs, titles, facts, strict=True)
        ]
    )


def job_detail(stores: Stores, id: str) -> JobDetail:
    """One job with its log and cells. Problem 404."""
    job = stores.jobs.get(id)
    cells: list[JobSummary] = []
    counted: Counter[JobState] = Counter()
    if job.kind == JobKind.STUDY:
        ids = stores.studies.cell_jobs(job.id, MAX_CHILDREN)
        known = stores.jobs.summaries(ids)
        cells = [known[cell] for cell in ids]
        counted = stores.studies.counts([job.id])[job.id]
    more = counted.total() > len(cells)
    return JobDetail.model_validate(
        {
            **dict(job_document(stores, job)),
            "log": stores.jobs.log(id),
            "children": job_items(stores, cells),
            "children_total": counted.total(),
            "children_done": counted[JobState.SUCCEEDED],
            "children_next_href": urls.study_jobs(job.artefact_id, cursor=str(len(cells))) if more else None,
        }
    )


def _fields(job: JobSummary, title: str) -> dict[str, object]:
    """The fields of a document: the job's own, those left out of its JSON too, and what can be done with it."""
    return {
        **dict(job),
        "title": title,
        "href": urls.job(job.id),
        "events_href": urls.job_events(job.id),
        "result_href": result_href(job),
        "can_cancel": job.state in ACTIVE and not job.cancel_requested,
        "can_retry": job.state in RETRIABLE,
        "cancelling": job.state in ACTIVE and job.cancel_requested,
        "study": Link(label="Study", href=urls.job(job.parent)) if job.parent else None,
    }


def result_href(job: JobSummary) -> str | None:
    """The page of what the job made; a study has its page from the start."""
    if job.kind == JobKind.STUDY:
        return urls.study(job.artefact_id)
    match job.result:
        case {"model": reference}:
            return urls.model(reference)
        case {"evaluation": id}:
            return urls.evaluation(id)
        case {"attribution": id}:
            return urls.attribution(id)
    return None


def start_links() -> list[Link]:
    """Links to the form, one for each kind of job."""
    return [Link(label=str(kind).capitalize(), href=urls.new_job(kind=kind)) for kind in JobKind]
