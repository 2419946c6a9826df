"""Routes of the job form, of the document of its options, and of the check of a spec."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.jobs.routes import JobRequest
from prunescope.server.new_job.checks import job_check
from prunescope.server.new_job.documents import JobCheck, JobForm
from prunescope.server.new_job.page import fill_form, form_page
from prunescope.server.new_job.queries import job_form, source_job
from prunescope.server.site.asked import Asked
from prunescope.server.site.frame import JOBS, Frame, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Jobs"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@api.get(urls.new_job.route, summary="What a spec may name")
def new_job(stores: StoresHere) -> JobForm:
    return job_form(stores)


@api.post(urls.job_check.route, responses=problems(422), summary="Check a spec; nothing is queued")
async def check_job(request: Request, stores: StoresHere, asked: JobRequest) -> JobCheck:
    """The same checks as of a job that is submitted, with its estimated time and memory, and the same job as curl,
    Python, YAML and on the command line."""
    server = str(request.base_url)
    return await stores.submissions.take(
        lambda: job_check(stores, asked.kind, asked.spec, force=asked.force, server=server)
    )


@pages.get(urls.new_job.route)
def show_job_form(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, any_other=True)
    began = asked.read(lambda: source_job(stores, asked.text("from")))
    kind = began.kind if began else JobKind(asked.read(lambda: asked.one_of("kind", list(JobKind))) or JobKind.PRUNE)
    offered = job_form(stores)
    form = asked.read(lambda: fill_form(offered, kind, asked.values, began))
    left_out = tuple(f"{each}. It was left out." for each in began.left_out) if began else ()
    notices = (*asked.notices, *left_out)
    frame = Frame(request, "New job", JOBS, section="Jobs", scripts=("new_job/form",), notices=notices)
    return render("new_job/form", form_page(offered, kind, form, frame, began))
