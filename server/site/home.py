"""The home page and its document: jobs, studies, explanations and attributions, and links that start a job."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.jobs.documents import JobState
from prunescope.server import urls
from prunescope.server.attributions.documents import AttributionSummary
from prunescope.server.attributions.queries import attribution_list
from prunescope.server.explanations.documents import ExplanationSummary
from prunescope.server.explanations.queries import explanation_list
from prunescope.server.jobs.documents import JobItem
from prunescope.server.jobs.queries import job_list, start_links
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Document, Link
from prunescope.server.site.frame import Frame, render
from prunescope.server.stores import StoresHere
from prunescope.server.studies.documents import StudySummary
from prunescope.server.studies.queries import study_list

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

LATEST = 5


class Home(Document):
    counts: dict[JobState, int]
    running: list[JobItem]
    recent: list[JobItem]
    studies: list[StudySummary]
    explanations: list[ExplanationSummary]
    attributions: list[AttributionSummary]
    start: list[Link]  # to the form, one for each kind of job
    events_href: str


@dataclass(frozen=True)
class HomePage:
    """The context of ``site/home.html``; ``recent`` are the document's recent jobs that are not running."""

    frame: Frame
    document: Home
    recent: list[JobItem]


@api.get("/", summary="What runs, what was made last")
@api.get("", include_in_schema=False)
def get_home(stores: StoresHere) -> Home:
    # Queued and recent jobs do not include the cells of studies.
    running = job_list(stores, state=JobState.RUNNING, limit=20).items
    waiting = job_list(stores, state=JobState.QUEUED, cells=False, limit=20).items
    return Home(
        counts=stores.jobs.counts(),
        running=[*running, *waiting],
        recent=job_list(stores, cells=False, limit=LATEST).items,
        studies=study_list(stores, limit=LATEST).items,
        explanations=explanation_list(stores, limit=LATEST).items,
        attributions=attribution_list(stores, limit=LATEST).items,
        start=start_links(),
        events_href=urls.events(),
    )


@pages.get(urls.home.route)
def show_home(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request)
    frame = Frame(request, "Start", scripts=("site/live",), events_href=urls.events(), notices=asked.notices)
    document = get_home(stores)
    running = {job.id for job in document.running}
    recent = [job for job in document.recent if job.id not in running]
    return render("site/home", HomePage(frame, document, recent))
