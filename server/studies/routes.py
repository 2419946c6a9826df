"""Routes of studies: list, page, document, files, estimate, retry and deletion."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, StrictBool

from prunescope.jobs.documents import Estimate, JobKind
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.jobs.documents import EXAMPLES, JobDocument, JobItem
from prunescope.server.jobs.routes import announce, job_answer
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import STUDIES, Frame, address, render
from prunescope.server.stores import StoresHere
from prunescope.server.studies.documents import StudyDocument, StudySummary
from prunescope.server.studies.export.cells import cells_csv
from prunescope.server.studies.export.files import table_file
from prunescope.server.studies.page import StudiesPage, study_page
from prunescope.server.studies.queries import study_document, study_jobs, study_list
from prunescope.server.studies.query import AskedStudy, StudyQuery, one_of
from prunescope.store import submission
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.studies.table import AXES

api = APIRouter(prefix=urls.API, tags=["Studies"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


class EstimateRequest(BaseModel, extra="forbid"):
    """The spec of a study that is not submitted."""

    spec: dict[str, Any] = Field(description="as for a job of kind study")
    force: StrictBool = Field(default=False, description="also count jobs that are queued, running or done")


_EXAMPLES: dict[str, Any] = {"study": {"summary": "A small study", "value": {"spec": EXAMPLES[JobKind.STUDY]}}}


@api.post(urls.study_estimate.route, responses=problems(422), summary="How much work a study is; nothing is queued")
async def estimate_study(
    stores: StoresHere, request: Annotated[EstimateRequest, Body(openapi_examples=_EXAMPLES)]
) -> Estimate:
    """``known`` cells are queued, running or done already. ``seconds`` is the total time of all new jobs, estimated
    from earlier jobs of the same kind and model; null if there is none for one of them."""
    return await stores.submissions.take(lambda: submission.estimate(stores, request.spec, force=request.force))


@api.get(urls.studies.route, responses=problems(422), summary="Studies, newest first")
def list_studies(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[StudySummary]:
    return study_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.studies.route)
def show_studies(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    document = asked.read(lambda: study_list(stores, cursor=asked.text("cursor")))
    frame = Frame(
        request, "Studies", section="Studies", scripts=("site/live",), events_href=urls.events(), notices=asked.notices
    )
    return render("studies/list", StudiesPage(frame, document))


@api.get(urls.study.route, responses=problems(404, 422), summary="One study as a table")
def get_study(stores: StoresHere, query: AskedStudy, study: str) -> StudyDocument:
    return study_document(stores, study, query)


@pages.get(urls.study.route)
def show_study(request: Request, stores: StoresHere, study: str) -> Response:
    asked = Asked(request, *StudyQuery.model_fields)
    document = asked.read(
        lambda: study_document(stores, study, StudyQuery.model_validate({**asked.values, **asked.all(AXES)}))
    )
    live = None if document.state.ended else urls.events()
    scripts = ("studies/study", "site/charts", *(() if live is None else ("site/live",)))
    notices = asked.notices
    frame = Frame(
        request, document.title, STUDIES, section="Studies", scripts=scripts, events_href=live, notices=notices
    )
    return render("studies/study", study_page(document, frame, here=address(request)))


@api.get(urls.study_jobs.route, responses=problems(404, 422), summary="A study's jobs in the order of its plan")
def list_study_jobs(stores: StoresHere, study: str, cursor: str | None = None, limit: int = 50) -> Page[JobItem]:
    return study_jobs(stores, study, cursor=cursor, limit=limit)


@api.delete(urls.study.route, status_code=204, responses=problems(404, 409), summary="Remove a study, not its cells")
def delete_study(stores: StoresHere, study: str) -> None:
    stores.results.delete("study", study)


@api.post(
    urls.study_retry.route,
    status_code=202,
    response_model=JobDocument,
    responses=problems(404, 409),
    summary="Queue all failed and cancelled cells of a study again",
)
async def retry_study(stores: StoresHere, study: str) -> Response:
    def retry() -> Response:
        job = submission.retry_cells(stores, study, send=None)
        announce(stores, job)
        return job_answer(stores, job, 202, {"location": urls.api(urls.job(job.id))})

    return await stores.submissions.take(retry)


@api.get(
    urls.study_table.route,
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}, "application/x-tex": {}, "text/html": {}, "application/json": {}}},
        **problems(404, 422),
    },
    summary="A study's table as csv, tex, html or json",
)
def get_table(stores: StoresHere, query: AskedStudy, study: str, form: str) -> Response:
    """The table that the study's page shows for the same parameters."""
    return table_file(study_document(stores, study, query.with_(chart=None)), form)


@api.get(
    urls.study_cells.route,
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}, **problems(404, 422)},
    summary="All measurements of a study as CSV, with every setting",
)
def get_cells(stores: StoresHere, study: str, measure: str | None = None) -> StreamingResponse:
    measures = stores.studies.measures(stores.results.get("study", study))
    table = stores.studies.table(study, one_of("measure", measure, measures))
    prune = {cell.job: cell.artefact for cell in table.cells if cell.kind is JobKind.PRUNE}
    pruning = {prune[job.id]: job.spec for job in stores.jobs.many(prune).values()}
    of = "" if table.measure == ACCURACY else f"-{table.measure}"
    headers = {"content-disposition": f'attachment; filename="study-{table.id}{of}-cells.csv"'}
    return StreamingResponse(cells_csv(table, pruning), media_type="text/csv; charset=utf-8", headers=headers)
