"""Contexts of the pages of jobs: the list, and one job."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prunescope.jobs.documents import JobKind, JobState, LogLine
from prunescope.jobs.problems import Problem
from prunescope.jobs.specs import parse_spec
from prunescope.server import urls
from prunescope.server.jobs.commands import Command, commands_of
from prunescope.server.jobs.documents import JobDetail, JobItem
from prunescope.server.jobs.queries import start_links
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker

MAX_LINES = 1000
"""Maximum number of lines of a log that a page shows."""
MAX_SHOWN = 50_000
"""Maximum number of characters of a spec that its job's page shows in every form."""


@dataclass(frozen=True)
class JobsPage:
    """The context of ``jobs/list.html``."""

    frame: Frame
    document: Page[JobItem]
    kinds: Picker
    states: Picker
    all_href: str | None  # address of the list without filters; None if no filter is set
    start: list[Link]


@dataclass(frozen=True)
class LogRow:
    """A line of a job's log. ``stage`` is the text before the first colon, ``begins`` whether the previous line is of
    another stage (the script of the page, which adds lines, has the same rule)."""

    at: datetime
    line: str
    stage: str
    begins: bool


@dataclass(frozen=True)
class JobPage:
    """The context of ``jobs/job.html``. ``then`` replaces the link to the result, if given."""

    frame: Frame
    document: JobDetail
    log: list[LogRow]  # the last MAX_LINES lines
    elapsed: float | None
    cancel_href: str | None
    retry_href: str | None
    edit_href: str | None
    then: Link | None
    spec: str
    commands: list[Command]  # the job in other forms


def jobs_page(document: Page[JobItem], frame: Frame, *, kind: str | None, state: str | None) -> JobsPage:
    """The context of the list of jobs, filtered by ``kind`` and ``state``; None stands for all."""
    kinds: dict[str | None, str] = {None: "All", **{str(each): each.capitalize() for each in JobKind}}
    states: dict[str | None, str] = {None: "Any state", **{str(each): each.capitalize() for each in JobState}}
    return JobsPage(
        frame=frame,
        document=document,
        kinds=picker("Kind", kinds, kind, lambda other: urls.jobs(kind=other, state=state)),
        states=picker("State", states, state, lambda other: urls.jobs(kind=kind, state=other)),
        all_href=urls.jobs() if kind or state else None,
        start=[] if frame.shared else start_links(),
    )


def job_page(document: JobDetail, frame: Frame, server: str, then: Link | None = None) -> JobPage:
    """The context of a job's page. ``server`` is the address of this server."""
    changeable, ended_at = not frame.shared, document.finished_at or datetime.now(UTC)
    elapsed = (ended_at - document.started_at).total_seconds() if document.started_at else None
    return JobPage(
        frame=frame,
        document=document,
        log=_rows(document.log[-MAX_LINES:]),
        elapsed=elapsed,
        cancel_href=urls.api(document.href) if document.can_cancel and changeable else None,
        retry_href=urls.job_retry(document.id) if document.can_retry and changeable else None,
        edit_href=urls.new_job(**{"from": document.id}) if changeable else None,
        then=then,
        spec=json.dumps({"kind": document.kind.value, "spec": document.spec}, indent=2, ensure_ascii=False),
        commands=_commands(document, server),
    )


def _rows(log: Sequence[LogLine]) -> list[LogRow]:
    stages = [each.line.partition(": ")[0] for each in log]
    return [
        LogRow(each.at, each.line, stage, begins=stage != before)
        for each, stage, before in zip(log, stages, [None, *stages], strict=False)
    ]


def _commands(document: JobDetail, server: str) -> list[Command]:
    """The job in other forms; empty for a spec of an earlier version, and for texts that would make the page large."""
    if sum(len(str(value)) for value in document.spec.values()) > MAX_SHOWN:
        return []
    try:
        spec = parse_spec(document.kind, document.spec)
    except Problem:
        return []
    return commands_of(spec, {"kind": document.kind.value, "spec": document.spec}, server)
