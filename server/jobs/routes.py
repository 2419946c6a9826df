"""Routes of jobs: submit, list, follow, cancel and retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field, StrictBool
from sse_starlette import EventSourceResponse

from prunescope.jobs.bounds import MAX_NAME
from prunescope.jobs.documents import Job, JobKind
from prunescope.jobs.neurons import parse_neuron
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.jobs import events
from prunescope.server.jobs.documents import EXAMPLES, JobDetail, JobDocument, JobItem
from prunescope.server.jobs.page import job_page, jobs_page
from prunescope.server.jobs.queries import job_detail, job_document, job_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import JOBS, Frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.store import submission

api = APIRouter(prefix=urls.API, tags=["Jobs"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_ANNOUNCED = 200
"""Maximum number of a study's cells that are announced with it."""


class JobRequest(BaseModel, extra="forbid"):
    """The body that submits a job."""

    kind: str = Field(max_length=MAX_NAME, description="prune, evaluate, attribute, study, explain or corpus")
    spec: dict[str, Any] = Field(description="see the examples; GET /jobs/new lists what it may name")
    force: StrictBool = Field(default=False, description="run it anew, even where the same spec has been run already")


_TITLES = {
    JobKind.PRUNE: "Prune the demo model",
    JobKind.EVALUATE: "Measure it on its reviews",
    JobKind.ATTRIBUTE: "Compare it with a pruned one, neuron by neuron",
    JobKind.STUDY: "All of that over a grid",
    JobKind.EXPLAIN: "Find what pruning broke, and through which neurons",
    JobKind.CORPUS: "Describe every neuron of the demo model by running text",
}
_EXAMPLES: dict[str, Any] = {
    str(kind): {"summary": _TITLES[kind], "value": {"kind": str(kind), "spec": spec}} for kind, spec in EXAMPLES.items()
}


@api.post(
    urls.jobs.route,
    status_code=202,
    response_model=JobDocument,
    responses={
        200: {"model": JobDocument, "description": "The job that queues, runs or has succeeded with the same spec"},
        202: {"description": "Queued; Location is the new job's address"},
        **problems(422),
    },
    summary="Submit a job",
)
async def submit_job(stores: StoresHere, request: Annotated[JobRequest, Body(openapi_examples=_EXAMPLES)]) -> Response:
    return await stores.submissions.take(lambda: _submitted(stores, request))


def _submitted(stores: Stores, request: JobRequest) -> Response:
    job, created = submission.submit(stores, request.kind, request.spec, force=request.force, send=None)
    if created:
        announce(stores, job)
    headers = {"location": urls.api(urls.job(job.id))}
    return job_answer(stores, job, 202 if created else 200, headers)


@api.get(urls.jobs.route, responses=problems(422), summary="Jobs, newest first")
def list_jobs(
    stores: StoresHere,
    kind: str | None = None,
    state: str | None = None,
    cells: Annotated[bool, Query(description="also what studies made for themselves")] = True,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[JobItem]:
    return job_list(stores, kind=kind, state=state, cells=cells, cursor=cursor, limit=limit)


@pages.get(urls.jobs.route)
def show_jobs(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "kind", "state", "cursor")
    page = asked.read(
        lambda: job_list(stores, kind=asked.text("kind"), state=asked.text("state"), cursor=asked.text("cursor"))
    )
    frame = Frame(
        request, "Jobs", section="Jobs", scripts=("site/live",), events_href=urls.events(), notices=asked.notices
    )
    return render("jobs/list", jobs_page(page, frame, kind=asked.text("kind"), state=asked.text("state")))


@api.get(urls.job.route, responses=problems(404), summary="One job with its log")
def get_job(stores: StoresHere, job: str) -> JobDetail:
    return job_detail(stores, job)


@pages.get(urls.job.route)
def show_job(request: Request, stores: StoresHere, job: str) -> Response:
    asked = Asked(request, "neuron", "variant")
    document = job_detail(stores, job)
    # The events of all jobs update the cells of a running study, as in a list, and the place in the queue.
    all_jobs = (document.children and not document.state.ended) or document.ahead is not None
    live = urls.events() if all_jobs else None
    scripts = ("jobs/job",) if live is None else ("jobs/job", "site/live")
    then = asked.read(lambda: _then(document, asked))
    title = f"{document.state.capitalize()} · {document.title} · job {document.id[:8]}"
    frame = Frame(request, title, JOBS, section="Jobs", scripts=scripts, events_href=live, notices=asked.notices)
    return render("jobs/job", job_page(document, frame, str(request.base_url), then))


def _then(document: JobDetail, asked: Asked) -> Link | None:
    """A link to the requested neuron in the attribution that the job made; None without a neuron or an attribution.
    Raises Problem 422 if the neuron's name cannot be parsed."""
    neuron = asked.text("neuron")
    if neuron is None:
        return None
    layer, index = parse_neuron(neuron)
    if not document.result or "attribution" not in document.result:
        return None
    href = urls.neuron(document.result["attribution"], layer, index, variant=asked.text("variant"))
    return Link(label=f"Open {neuron}", href=href)


@api.delete(
    urls.job.route,
    response_model=JobDocument,
    responses={202: {"model": JobDocument, "description": "It stops after its layer or batch"}, **problems(404)},
    summary="Cancel a job",
)
def cancel_job(stores: StoresHere, job: str) -> Response:
    cancelled = stores.jobs.cancel(job)
    announce(stores, cancelled)
    return job_answer(stores, cancelled, 200 if cancelled.state.ended else 202)


@api.post(
    urls.job_retry.route,
    status_code=202,
    response_model=JobDocument,
    responses=problems(404, 409),
    summary="Queue a failed or cancelled job again",
)
def retry_job(stores: StoresHere, job: str) -> Response:
    again = submission.retry(stores, job, send=None)
    announce(stores, again)
    return job_answer(stores, again, 202, {"location": urls.api(urls.job(again.id))})


@api.get(
    urls.job_events.route,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": events.__doc__}, **problems(404, 503)},
    summary="Follow a job (server-sent events)",
)
def job_events(
    stores: StoresHere, job: str, last_event_id: Annotated[str | None, Header()] = None
) -> EventSourceResponse:
    stores.jobs.get(job)
    return events.stream(stores, events.of_job(stores, job, last_event_id))


@api.get(
    urls.events.route,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Every job's state and progress"}},
    summary="Follow all jobs (server-sent events)",
)
def all_events(stores: StoresHere, last_event_id: Annotated[str | None, Header()] = None) -> EventSourceResponse:
    return events.stream(stores, events.of_all(stores, last_event_id))


def job_answer(stores: Stores, job: Job, status: int, headers: dict[str, str] | None = None) -> Response:
    """The JSON response with the document of a job."""
    content = job_document(stores, job).model_dump(mode="json")
    return JSONResponse(content, status_code=status, headers=headers)


def announce(stores: Stores, job: Job) -> None:
    """Publish an event for a job, for its first `MAX_ANNOUNCED` cells, and for the studies to which it belongs.

    Other cells need no event: lists are read again after any event, and the stream of one job polls the database.
    """
    cells = stores.studies.cell_jobs(job.id, MAX_ANNOUNCED) if job.kind == JobKind.STUDY else []
    stores.announce(job, *stores.jobs.summaries(cells).values(), *stores.jobs.studies_of(job.id))
