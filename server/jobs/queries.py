"""Builds the documents of jobs: lists, and one job."""

from collections import Counter
from collections.abc import Sequence

from prunescope.jobs.documents import ACTIVE, Job, JobKind, JobState, JobSummary
from prunescope.jobs.labels import Described, told_apart
from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.jobs.references import references_of
from prunescope.server import urls
from prunescope.server.jobs.documents import JobDetail, JobDocument, JobItem
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores
from prunescope.store.jobs.finding import ahead

MAX_CHILDREN = 100
"""Maximum number of a study's cells in the document of its job."""
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
    """One page of the list of jobs, newest first, filtered by ``kind`` and ``state``. ``cells=False`` omits the cells
    of studies. Raises Problem 422 for an invalid filter, cursor or limit."""
    for name, given, known in (("kind", kind, list(JobKind)), ("state", state, list(JobState))):
        if given is not None and given not in known:
            names = [str(value) for value in known]
            raise bad_field(name, given, names, unknown_name(given, names))
    items, after = stores.jobs.list(kind=kind, state=state, cells=cells, cursor=cursor, limit=limit)
    filters: dict[str, urls.State] = {"kind": kind, "state": state, "cells": None if cells else False}
    href = urls.jobs(**filters, cursor=after) if after else None
    return Page[JobItem](items=job_items(stores, items), next=after, next_href=href)


def job_document(stores: Stores, job: Job) -> JobDocument:
    """The document of one job, with its complete spec."""
    names = Names(stores, references_of(job.brief))
    return JobDocument.model_validate(_fields(job, names.title(job.kind, job.brief)))


def job_items(stores: Stores, jobs: Sequence[JobSummary]) -> list[JobItem]:
    """The documents of several jobs without their specs. All names are looked up at once."""
    names = Names(stores, (reference for job in jobs for reference in references_of(job.brief)))
    titled = zip(jobs, _titles(jobs, names), strict=True)
    return [JobItem.model_validate(_fields(job, title)) for job, title in titled]


def _titles(jobs: Sequence[JobSummary], names: Names) -> list[str]:
    """Titles of jobs. Jobs with equal titles get the settings in which they differ, or their ids."""
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
    """The document of one job with its log and cells. Raises Problem 404 for an unknown job."""
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
            "ahead": ahead(stores.database, job)
            if job.state == JobState.QUEUED and job.kind != JobKind.STUDY
            else None,
            "children": job_items(stores, cells),
            "children_total": counted.total(),
            "children_done": counted[JobState.SUCCEEDED],
            "children_next_href": urls.study_jobs(job.artefact_id, cursor=str(len(cells))) if more else None,
        }
    )


def _fields(job: JobSummary, title: str) -> dict[str, object]:
    """The fields of a JobItem: all fields of the job, title, addresses, and the actions that its state allows."""
    return {
        **dict(job),
        "title": title,
        "href": urls.job(job.id),
        "events_href": urls.job_events(job.id),
        "result_href": _result_href(job),
        "can_cancel": job.state in ACTIVE and not job.cancel_requested,
        "can_retry": job.state in RETRIABLE,
        "cancelling": job.state in ACTIVE and job.cancel_requested,
        "study": Link(label="Study", href=urls.job(job.parent)) if job.parent else None,
    }


def _result_href(job: JobSummary) -> str | None:
    """The address of the page of the job's result, None without a result. A study has a page from the start."""
    if job.kind == JobKind.STUDY:
        return urls.study(job.artefact_id)
    match job.result:
        case {"model": reference}:
            return urls.model(reference)
        case {"evaluation": id}:
            return urls.evaluation(id)
        case {"attribution": id}:
            return urls.attribution(id)
        case {"corpus": id}:
            return urls.corpus(id)
        case {"explanation": id}:
            return urls.explanation(id)
    return None


def start_links() -> list[Link]:
    """Links to the form, one for each kind of job."""
    return [Link(label=str(kind).capitalize(), href=urls.new_job(kind=kind)) for kind in JobKind]
