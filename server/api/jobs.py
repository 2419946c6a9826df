"""Jobs over REST: submit, look, follow, cancel, retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sse_starlette import EventSourceResponse

from prunescope.jobs.bounds import MAX_NAME
from prunescope.jobs.documents import Job, JobKind
from prunescope.server import events, urls
from prunescope.server.api.answers import problems
from prunescope.server.documents import JobDetail, JobDocument, JobForm, JobItem, Page
from prunescope.server.limits import submissions
from prunescope.server.read.form import EXAMPLES, job_form
from prunescope.server.read.jobs import job_detail, job_document, job_list
from prunescope.server.stores import Stores, StoresHere
from prunescope.store import submission

router = APIRouter(tags=["Jobs"], prefix=urls.API)


MAX_ANNOUNCED = 200


class JobRequest(BaseModel):
    """What to do."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=MAX_NAME, description="prune, evaluate, attribute or study")
    spec: dict[str, Any] = Field(description="see the examples; GET /jobs/new lists what it may name")
    force: StrictBool = Field(default=False, description="run it anew, even where the same spec has been run already")


_TITLES = {
    JobKind.PRUNE: "Prune the demo model",
    JobKind.EVALUATE: "Measure it on its reviews",
    JobKind.ATTRIBUTE: "Compare it with a pruned one, neuron by neuron",
    JobKind.STUDY: "All of that over a grid",
}
_EXAMPLES: dict[str, Any] = {
    str(kind): {"summary": _TITLES[kind], "value": {"kind": str(kind), "spec": spec}} for kind, spec in EXAMPLES.items()
}


@router.post(
    urls.JOBS,
    status_code=202,
    response_model=JobDocument,
    responses={
        200: {"model": JobDocument, "description": "The job that queues, runs or has succeeded with the same spec"},
        202: {"description": "Queued; Location is the new job's address"},
        **problems(422),
    },
    summary="Submit a job",
)
async def submit_job(
    http: Request, stores: StoresHere, request: Annotated[JobRequest, Body(openapi_examples=_EXAMPLES)]
) -> Response:
    return await submissions(http).take(lambda: _submitted(stores, request))


def _submitted(stores: Stores, request: JobRequest) -> Response:
    job, created = submission.submit(stores, request.kind, request.spec, force=request.force, send=None)
    if created:
        _announce(stores, job)
    headers = {"location": urls.api(urls.job(job.id))}
    return _document(stores, job, 202 if created else 200, headers)


@router.get(urls.JOBS, responses=problems(422), summary="Jobs, newest first")
def list_jobs(
    stores: StoresHere,
    kind: str | None = None,
    state: str | None = None,
    cells: Annotated[bool, Query(description="also what studies made for themselves")] = True,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[JobItem]:
    return job_list(stores, kind=kind, state=state, cells=cells, cursor=cursor, limit=limit)


@router.get(urls.NEW_JOB, summary="What a spec may name")
def new_job(stores: StoresHere) -> JobForm:
    return job_form(stores)


@router.get(urls.JOB, responses=problems(404), summary="One job with its log")
def get_job(stores: StoresHere, job: str) -> JobDetail:
    return job_detail(stores, job)


@router.delete(
    urls.JOB,
    response_model=JobDocument,
    responses={202: {"model": JobDocument, "description": "It stops after its layer or batch"}, **problems(404)},
    summary="Cancel a job",
)
def cancel_job(stores: StoresHere, job: str) -> Response:
    cancelled = stores.jobs.cancel(job)
    _announce(stores, cancelled)
    return _document(stores, cancelled, 200 if cancelled.state.ended else 202)


@router.post(
    urls.JOB_RETRY,
    status_code=202,
    response_model=JobDocument,
    responses=problems(404, 409),
    summary="Queue a failed or cancelled job again",
)
def retry_job(stores: StoresHere, job: str) -> Response:
    again = submission.retry(stores, job, send=None)
    _announce(stores, again)
    return _document(stores, again, 202, {"location": urls.api(urls.job(again.id))})


@router.post(
    urls.STUDY_RETRY,
    tags=["Studies"],
    status_code=202,
    response_model=JobDocument,
    responses=problems(404, 409),
    summary="Queue all failed and cancelled cells of a study again",
)
async def retry_study(http: Request, stores: StoresHere, study: str) -> Response:
    return await submissions(http).take(lambda: _retried(stores, study))


def _retried(stores: Stores, study: str) -> Response:
    again = submission.retry_cells(stores, study, send=None)
    _announce(stores, again)
    return _document(stores, again, 202, {"location": urls.api(urls.job(again.id))})


@router.get(
    urls.JOB_EVENTS,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": events.__doc__}, **problems(404, 503)},
    summary="Follow a job (server-sent events)",
)
def job_events(
    stores: StoresHere, job: str, last_event_id: Annotated[str | None, Header()] = None
) -> EventSourceResponse:
    stores.jobs.get(job)
    return events.stream(stores, events.of_job(stores, job, last_event_id))


@router.get(
    urls.EVENTS,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Every job's state and progress"}},
    summary="Follow all jobs (server-sent events)",
)
def all_events(stores: StoresHere, last_event_id: Annotated[str | None, Header()] = None) -> EventSourceResponse:
    return events.stream(stores, events.of_all(stores, last_event_id))


def _document(stores: Stores, job: Job, status: int, headers: dict[str, str] | None = None) -> Response:
    content = job_document(stores, job).model_dump(mode="json")
    return JSONResponse(content, status_code=status, headers=headers)


def _announce(stores: Stores, job: Job) -> None:
    """The job itself, its cells, and the studies it is a cell of: all of them may have changed with it.

    Of a large study only the first cells: its lists are read anew after any event, and whoever follows one cell asks
    the database every few seconds.
    """
    cells = stores.studies.cell_jobs(job.id, MAX_ANNOUNCED) if job.kind == JobKind.STUDY else []
    stores.announce(job, *stores.jobs.summaries(cells).values(), *stores.jobs.studies_of(job.id))
