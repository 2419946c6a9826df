"""The home page and its document: the neuron that lost most, jobs, results, and links that start a job."""

from contextlib import suppress
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.jobs.documents import JobState
from prunescope.jobs.problems import Problem
from prunescope.server import urls
from prunescope.server.attributions.documents import AttributionSummary
from prunescope.server.attributions.queries import attribution_list
from prunescope.server.explanations.documents import ExplanationSummary
from prunescope.server.explanations.queries import explanation_list
from prunescope.server.jobs.documents import JobItem
from prunescope.server.jobs.queries import job_list, start_links
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.page import default_view
from prunescope.server.neurons.queries import neuron_document
from prunescope.server.neurons.reading import Reading, read_examples
from prunescope.server.neurons.verdict import Part, verdict
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Document, Link
from prunescope.server.site.frame import Frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.studies.documents import StudySummary
from prunescope.server.studies.queries import study_list

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

LATEST = 5


class MostDamaged(Document):
    """The neuron with the largest loss on its own word, of the newest attribution that has such a neuron."""

    name: str  # L15/N2194
    word: str
    drop: float  # the share of its dense activation that pruning took
    variant: str  # the label of the pruned model
    href: str
    attribution: Link


class Home(Document):
    most_damaged: MostDamaged | None
    counts: dict[JobState, int]
    running: list[JobItem]
    recent: list[JobItem]
    studies: list[StudySummary]
    explanations: list[ExplanationSummary]
    attributions: list[AttributionSummary]
    start: list[Link]  # to the form, one for each kind of job
    events_href: str


@dataclass(frozen=True)
class Shown:
    """The neuron that lost most, in the part of a text where it lost most."""

    found: MostDamaged
    reading: Reading
    verdict: list[Part]


@dataclass(frozen=True)
class HomePage:
    """The context of ``site/home.html``; ``recent`` are the document's recent jobs that are not running."""

    frame: Frame
    document: Home
    recent: list[JobItem]
    shown: Shown | None


def _most_damaged(stores: Stores, attributions: list[AttributionSummary]) -> tuple[MostDamaged, NeuronDocument] | None:
    """The neuron that lost most, and its document, of the newest attribution that can be read and has one; None if
    none has."""
    for summary in attributions:
        with suppress(Problem, OSError):
            opened = stores.attributions.get(summary.id)
            rows = [row for row in opened.tables.damaged(limit=1) if row.word is not None and (row.drop or 0) > 0]
            for row in rows:
                document = neuron_document(opened, row.layer, row.neuron)
                found = MostDamaged(
                    name=document.name,
                    word=row.word or "",
                    drop=row.drop or 0.0,
                    variant=document.variants[1].label,
                    href=document.href,
                    attribution=Link(label=summary.label, href=summary.href),
                )
                return found, document
    return None


def _shown(found: MostDamaged, document: NeuronDocument) -> Shown:
    view = replace(default_view(document), window="16")
    place = next(place for place, example in enumerate(document.examples) if example.index == view.example)
    (reading,) = read_examples(document, view, [place])
    return Shown(found, reading, verdict(document, reading.pruned))


@api.get("/", summary="What lost most, what runs, what was made last")
@api.get("", include_in_schema=False)
def get_home(stores: StoresHere) -> Home:
    return _home(stores)[0]


def _home(stores: Stores) -> tuple[Home, Shown | None]:
    # Queued and recent jobs do not include the cells of studies.
    running = job_list(stores, state=JobState.RUNNING, limit=20).items
    waiting = job_list(stores, state=JobState.QUEUED, cells=False, limit=20).items
    attributions = attribution_list(stores, limit=LATEST).items
    damaged = _most_damaged(stores, attributions)
    home = Home(
        most_damaged=None if damaged is None else damaged[0],
        counts=stores.jobs.counts(),
        running=[*running, *waiting],
        recent=job_list(stores, cells=False, limit=LATEST).items,
        studies=study_list(stores, limit=LATEST).items,
        explanations=explanation_list(stores, limit=LATEST).items,
        attributions=attributions,
        start=start_links(),
        events_href=urls.events(),
    )
    return home, None if damaged is None else _shown(*damaged)


@pages.get(urls.home.route)
def show_home(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request)
    frame = Frame(request, "Start", scripts=("site/live",), events_href=urls.events(), notices=asked.notices)
    document, shown = _home(stores)
    running = {job.id for job in document.running}
    recent = [job for job in document.recent if job.id not in running]
    return render("site/home", HomePage(frame, document, recent, shown))
