"""The home page: what runs, what was found last, and where to start."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobState
from prunescope.server import urls
from prunescope.server.attributions.list_page import Found, found
from prunescope.server.jobs.lines import JobLine, job_line
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.server.site.frame import Frame
from prunescope.server.site.home_documents import Home
from prunescope.server.studies.list_page import StudyLine, study_line

LATEST = 5


@dataclass(frozen=True)
class HomePage:
    """The context of ``site/home.html``; ``first`` is the very first visit: nothing was ever run."""

    frame: Frame
    first: bool
    counts: tuple[tuple[str, str], ...]
    running: tuple[JobLine, ...]
    recent: tuple[JobLine, ...]
    studies: tuple[StudyLine, ...]
    attributions: tuple[Found, ...]
    start: tuple[Link, ...]
    jobs_href: str
    studies_href: str
    attributions_href: str


def home_page(document: Home, frame: Frame) -> HomePage:
    names = {
        JobState.RUNNING: "running",
        JobState.QUEUED: "waiting",
        JobState.SUCCEEDED: "done",
        JobState.FAILED: "failed",
    }
    shown = {JobState.RUNNING, JobState.QUEUED}
    counts = tuple(
        (formats.count(document.counts.get(state, 0)), name)
        for state, name in names.items()
        if state in shown or document.counts.get(state)
    )
    running = {job.id for job in document.running}
    return HomePage(
        frame=frame,
        first=not sum(document.counts.values()),
        counts=counts,
        running=tuple(job_line(job) for job in document.running),
        recent=tuple(job_line(job) for job in document.recent if job.id not in running)[:LATEST],
        studies=tuple(study_line(study) for study in document.studies[:LATEST]),
        attributions=tuple(found(attribution) for attribution in document.attributions[:LATEST]),
        start=tuple(document.start),
        jobs_href=urls.jobs(),
        studies_href=urls.studies(),
        attributions_href=urls.attributions(),
    )
