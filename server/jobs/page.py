"""Contexts of the pages of jobs: the list, and one job with its stage, progress, time left and log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prunescope.jobs.documents import JobKind, JobState, LogLine
from prunescope.server import urls
from prunescope.server.jobs.documents import JobDetail, JobItem
from prunescope.server.jobs.lines import Bar, JobLine, bar_of, job_line, state_name
from prunescope.server.labels import quoted
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, ListPage, Option, Picker

MAX_LINES = 1000
MAX_ANSWERS = 20
"""Answers of the model on the page of a job that failed; the document holds all of them."""
MAX_ANSWER = 2000
"""Characters of each."""
RESULTS = {
    JobKind.PRUNE: "Open the model",
    JobKind.EVALUATE: "Open the evaluation",
    JobKind.ATTRIBUTE: "Open the attribution",
    JobKind.STUDY: "Open the study",
}


@dataclass(frozen=True)
class JobsPage(ListPage[JobItem]):
    """The context of ``jobs/list.html``."""

    filters: tuple[Picker, ...]
    lines: tuple[JobLine, ...]
    start: list[Link]


@dataclass(frozen=True)
class Answer:
    """The model's answer when it was asked for the influential words of a text, whose beginning is ``text``."""

    number: str
    text: str
    answer: str


@dataclass(frozen=True)
class Wrong:
    """Why a job failed: a sentence, a line for each wrong field, and the model's answers where these were the cause."""

    title: str
    detail: str
    errors: tuple[str, ...]
    answers: tuple[Answer, ...]
    more_answers: str


@dataclass(frozen=True)
class JobFact:
    """A name and a value; ``at`` is the moment that it means, empty for other values."""

    name: str
    value: str
    at: str = ""


@dataclass(frozen=True)
class JobPage:
    """The context of ``jobs/job.html``."""

    frame: Frame
    document: JobDetail
    state_name: str
    stage: str
    eta: str
    elapsed: str
    bar: Bar
    cancel_href: str | None
    retry_href: str | None
    result: Link | None
    edit_href: str | None
    wrong: Wrong | None
    facts: tuple[JobFact, ...]
    spec: str
    log: list[LogLine]
    children: tuple[JobLine, ...]
    children_note: str


def jobs_page(
    page: Page[JobItem], frame: Frame, *, kind: JobKind | None, state: JobState | None, start: list[Link]
) -> JobsPage:
    kinds = [("All", None), *((each.value.capitalize(), each) for each in JobKind)]
    states = [("Any state", None), *((each.value.capitalize(), each) for each in JobState)]
    empty = (
        Empty("No matching jobs", "No job has this kind and state.", "Show all of them", urls.jobs())
        if kind or state
        else Empty("No jobs yet", "Pruning, measuring and attributing all run as jobs.", "Start one", urls.new_job())
    )
    return JobsPage(
        frame=frame,
        items=page.items,
        empty=empty,
        older_href=page.next_href,
        filters=(
            Picker("Kind", "", tuple(Option(n, urls.jobs(kind=k, state=state), k == kind) for n, k in kinds)),
            Picker(
                "State",
                state.value.capitalize() if state else "Any state",
                tuple(Option(name, urls.jobs(kind=kind, state=each), each == state) for name, each in states),
            ),
        ),
        lines=tuple(job_line(job) for job in page.items),
        start=start,
    )


def job_page(document: JobDetail, frame: Frame, then: Link | None = None) -> JobPage:
    """The context of a job's page; ``then`` replaces the link to the result."""
    eta, result, changeable = document.progress.eta_seconds, document.result_href, not frame.shared
    return JobPage(
        frame=frame,
        document=document,
        state_name=state_name(document),
        stage=_stage(document),
        eta="" if eta is None or document.state.ended else f"about {formats.duration(round(eta))} left",
        elapsed=_elapsed(document),
        bar=bar_of(document),
        cancel_href=urls.api(document.href) if document.can_cancel and changeable else None,
        retry_href=urls.job_retry(document.id) if document.can_retry and changeable else None,
        result=None if result is None else then or Link(label=RESULTS[document.kind], href=result),
        edit_href=urls.new_job(**{"from": document.id}) if document.can_retry and changeable else None,
        wrong=_wrong(document),
        facts=_facts(document),
        spec=json.dumps({"kind": document.kind.value, "spec": document.spec}, indent=2, ensure_ascii=False),
        log=document.log[-MAX_LINES:],
        children=tuple(job_line(child) for child in document.children),
        children_note=_children(document),
    )


def _stage(document: JobDetail) -> str:
    match document.state:
        case JobState.QUEUED:
            return "waiting for a worker"
        case JobState.RUNNING:
            return "stopping" if document.cancelling else document.progress.stage
        case JobState.SUCCEEDED:
            return "done"
        case _:
            stage = document.progress.stage
            return f"{document.state.value} in {stage}" if document.started_at and stage else document.state.value


def _elapsed(document: JobDetail) -> str:
    if document.started_at is None:
        return ""
    end = formats.aware(document.finished_at) if document.finished_at else datetime.now(UTC)
    return formats.duration((end - formats.aware(document.started_at)).total_seconds())


def _wrong(document: JobDetail) -> Wrong | None:
    error = document.error
    if error is None:
        return None
    given = error.get("errors")
    fields = [field for field in given if isinstance(field, dict)] if isinstance(given, list) else []
    title, detail = str(error.get("title") or "It failed"), str(error.get("detail") or "")
    answers = _answers(error.get("answers"))
    return Wrong(
        title,
        detail,
        tuple(f"{field.get('field')}: {field.get('message')}" for field in fields),
        answers[:MAX_ANSWERS],
        f"and {len(answers) - MAX_ANSWERS} more" if len(answers) > MAX_ANSWERS else "",
    )


def _answers(given: object) -> tuple[Answer, ...]:
    known = [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
    return tuple(
        Answer(f"text {number}", quoted(str(each.get("text", ""))), str(each.get("answer") or "")[:MAX_ANSWER])
        for number, each in enumerate(known, 1)
    )


def _facts(document: JobDetail) -> tuple[JobFact, ...]:
    moments = {"submitted": document.created_at, "started": document.started_at, "ended": document.finished_at}
    return (
        JobFact("kind", document.kind.value),
        *(JobFact(name, formats.ago(at), formats.timestamp(at)) for name, at in moments.items() if at is not None),
        JobFact("attempts", formats.count(document.attempts)),
        JobFact("id", document.id),
        JobFact("fingerprint", document.fingerprint[:16]),
    )


def _children(document: JobDetail) -> str:
    total, shown = document.children_total, len(document.children)
    note = f"{formats.count(document.children_done)} of {formats.count(total)} done"
    return note if shown == total else f"{note}, the first {formats.count(shown)} of them here"
