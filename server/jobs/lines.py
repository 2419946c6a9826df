"""Jobs as lines of a list: state, progress bar and message."""

from dataclasses import dataclass
from datetime import datetime

from prunescope.jobs.documents import JobState, Progress
from prunescope.server.jobs.documents import JobItem
from prunescope.server.site import formats


@dataclass(frozen=True)
class Bar:
    """A progress bar. ``known`` is false while the total is not known; ``css`` marks one that stopped before its
    end."""

    done: int
    total: int
    known: bool
    css: str = ""


@dataclass(frozen=True)
class JobLine:
    """A job in a list: ``state_name`` is what a person reads, and the css class of the state; ``at`` is when it ended,
    started or was submitted, whichever was last."""

    job: JobItem
    state_name: str
    message: str
    bar: Bar
    at: datetime


def job_line(job: JobItem) -> JobLine:
    moment = job.finished_at or job.started_at or job.created_at
    return JobLine(job, state_name(job), job_message(job), bar_of(job), moment)


def state_name(job: JobItem) -> str:
    """The job's state; ``stopping`` after a request to cancel a job that still runs."""
    return "stopping" if job.cancelling else job.state.value


def job_message(job: JobItem) -> str:
    """The text below a job's title: progress, the error, or how long it took."""
    if job.state is JobState.RUNNING:
        return progress_text(job.progress)
    if job.state is JobState.FAILED and job.error:
        return str(job.error.get("detail") or job.error.get("title") or "")
    if job.state is JobState.SUCCEEDED and job.started_at and job.finished_at:
        seconds = (formats.aware(job.finished_at) - formats.aware(job.started_at)).total_seconds()
        return f"took {formats.duration(seconds)}"
    if job.state is JobState.QUEUED:
        return "waits for a worker"
    return ""


def progress_text(progress: Progress) -> str:
    """``prune · 3 of 4 layers · layer 2 · 12 s left``: the same words as ``js/site/progress.js``."""
    parts = [progress.stage]
    if progress.total > 0:
        parts.append(f"{progress.done} of {progress.total} {progress.unit}".strip())
    parts.append(progress.message)
    if progress.eta_seconds is not None:
        parts.append(f"{formats.duration(max(1, round(progress.eta_seconds)))} left")
    return " · ".join(part for part in parts if part)


def bar_of(job: JobItem) -> Bar:
    """A job's bar: full when it succeeded, never full when it failed or was cancelled."""
    match job.state:
        case JobState.SUCCEEDED:
            return Bar(1, 1, True)
        case JobState.FAILED | JobState.CANCELLED:
            return Bar(job.progress.done, max(job.progress.total, job.progress.done) + 1, True, job.state.value)
    known = job.progress.total > 0 or job.state is JobState.QUEUED
    return Bar(job.progress.done, max(1, job.progress.total), known)
