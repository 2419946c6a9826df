"""The home page: what runs, what was found last, and where to start."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobState
from prunescope.server import urls
from prunescope.server.documents import AttributionSummary, Home, Link, StudySummary
from prunescope.server.pages import wording
from prunescope.server.pages.frame import Frame
from prunescope.server.pages.job_lines import JobLine, job_line

LATEST = 5


@dataclass(frozen=True)
class Found:
    """One attribution: its words lead on."""

    title: str
    href: str
    note: str
    words: tuple[str, ...]
    comparison_href: str | None = None
    damaged: str | None = None


@dataclass(frozen=True)
class StudyLine:
    title: str
    href: str
    state: str
    note: str
    done: int
    total: int
    ago: str
    at: str


@dataclass(frozen=True)
class HomePage:
    """The context of ``home.html``; ``first`` is the very first visit: nothing was ever run."""

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
        (wording.count(document.counts.get(state, 0)), name)
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


def study_line(study: StudySummary) -> StudyLine:
    note = f"{wording.count(study.done)} of {wording.plural(study.cells, 'cell')}"
    if study.failed:
        note += f" · {wording.count(study.failed)} failed"
    return StudyLine(
        title=study.title,
        href=study.href,
        state=study.state.value,
        note=note,
        done=study.done + study.failed,
        total=max(1, study.cells),
        at=wording.timestamp(study.created_at),
        ago=wording.ago(study.created_at),
    )


def found(attribution: AttributionSummary) -> Found:
    against = ", ".join(variant.label for variant in attribution.variants)
    if attribution.damaged is not None:
        return Found(attribution.label, attribution.href, against, (), damaged=attribution.damaged)
    texts = wording.plural(attribution.examples, "text")
    return Found(attribution.label, attribution.href, f"{against} · {texts}", tuple(attribution.words))
