"""One job, live: stage, progress, time left, log, and what can be done with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prunescope.jobs.documents import JobState, LogLine
from prunescope.server import urls
from prunescope.server.jobs.documents import JobDetail
from prunescope.server.jobs.lines import Bar, JobLine, bar_of, job_line, state_name
from prunescope.server.labels import quoted
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.server.site.frame import Frame

MAX_LINES = 1000
MAX_ANSWERS = 20
"""Answers of the model on the page of a job that failed; the document holds all of them."""
MAX_ANSWER = 2000
"""Characters of each."""
RESULTS = {"prune": "Open the model", "evaluate": "Open the evaluation", "attribute": "Open the attribution"}


@dataclass(frozen=True)
class LogRow:
    """``at`` is the moment for the script, ``clock`` its time in UTC."""

    at: str
    clock: str
    line: str


@dataclass(frozen=True)
class Answer:
    """What the model said of a text when it was asked for its words; ``text`` is how that one begins."""

    number: str
    text: str
    answer: str


@dataclass(frozen=True)
class Wrong:
    """Why the job failed: one sentence, a line for each field, and what the model answered where that was the cause."""

    title: str
    detail: str
    errors: tuple[str, ...]
    answers: tuple[Answer, ...]
    more_answers: str


@dataclass(frozen=True)
class JobFact:
    """``at`` is the moment that the value speaks of, where it is one."""

    name: str
    value: str
    at: str = ""


@dataclass(frozen=True)
class JobPage:
    """The context of ``jobs/job.html``."""

    frame: Frame
    title: str
    state: str
    state_name: str
    css: str
    cancelling: str  # for the script: true or false
    ended: bool
    running: bool
    started: str
    stage: str
    count: str
    message: str
    eta: str
    elapsed: str
    bar: Bar
    events_href: str
    cancel_href: str | None
    retry_href: str | None
    result: Link | None
    edit_href: str | None
    study: Link | None
    wrong: Wrong | None
    facts: tuple[JobFact, ...]
    spec: str
    log: tuple[LogRow, ...]
    children: tuple[JobLine, ...]
    children_note: str


def job_page(document: JobDetail, frame: Frame, then: Link | None = None) -> JobPage:
    """``then`` is what to open of the result, where that is not the whole of it."""
    progress = document.progress
    name = state_name(document)
    result = document.result_href
    label = "Open the study" if document.kind == "study" else RESULTS[document.kind.value]
    return JobPage(
        frame=frame,
        title=document.title,
        state=document.state.value,
        state_name=name,
        css=name if name == "stopping" else document.state.value,
        cancelling=str(document.cancelling).lower(),
        ended=document.state.ended,
        running=document.state is JobState.RUNNING,
        started=formats.timestamp(document.started_at),
        stage=_stage(document),
        count=f"{progress.done} of {progress.total} {progress.unit}".strip() if progress.total > 0 else "",
        message=progress.message,
        eta=""
        if progress.eta_seconds is None or document.state.ended
        else f"about {formats.duration(round(progress.eta_seconds))} left",
        elapsed=_elapsed(document),
        bar=bar_of(document),
        events_href=document.events_href,
        cancel_href=urls.api(document.href) if document.can_cancel and not frame.shared else None,
        retry_href=urls.job_retry(document.id) if document.can_retry and not frame.shared else None,
        result=None if result is None else then or Link(label=label, href=result),
        edit_href=urls.new_job(**{"from": document.id}) if document.can_retry and not frame.shared else None,
        study=document.study,
        wrong=_wrong(document),
        facts=_facts(document),
        spec=json.dumps({"kind": document.kind.value, "spec": document.spec}, indent=2, ensure_ascii=False),
        log=tuple(_log_row(line) for line in document.log[-MAX_LINES:]),
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


def _log_row(line: LogLine) -> LogRow:
    moment = formats.aware(line.at).astimezone(UTC)
    return LogRow(moment.isoformat(), moment.strftime("%H:%M:%S"), line.line)


def _children(document: JobDetail) -> str:
    total, shown = document.children_total, len(document.children)
    note = f"{formats.count(document.children_done)} of {formats.count(total)} done"
    return note if shown == total else f"{note}, the first {formats.count(shown)} of them here"
