"""Contexts of the list of studies and of one study's page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.jobs.lines import Bar, JobLine, job_line
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, ListPage
from prunescope.server.studies.charts_page import Chart, study_chart
from prunescope.server.studies.controls import Controls, study_controls
from prunescope.server.studies.documents import StudyDocument, StudySummary
from prunescope.server.studies.grid import Grid, study_grid
from prunescope.server.studies.measures import axis_name
from prunescope.server.studies.query import shown_query
from prunescope.server.studies.shown import Shown

MAX_OPEN_MODELS = 8
"""So many are listed at once."""


@dataclass(frozen=True)
class StudyPage:
    """The context of ``studies/study.html``."""

    frame: Frame
    document: StudyDocument
    facts: tuple[Fact, ...]
    controls: Controls
    rows_axis: str
    averaged: str
    grid: Grid
    empty: str
    chart: Chart | None
    models_open: bool
    state_name: str
    bar: Bar
    progress_note: str
    failed_note: str
    failures_left: str
    retry_href: str | None
    jobs: tuple[JobLine, ...]
    jobs_left: str
    delete_href: str | None
    after_delete: str


def studies_page(page: Page[StudySummary], frame: Frame) -> ListPage[StudySummary]:
    empty = Empty(
        "No studies yet",
        "A study prunes models in many ways and measures every one of them: a table of what each way costs.",
        "Start a study",
        urls.new_job(kind=JobKind.STUDY),
    )
    return ListPage(frame, page.items, empty, page.next_href)


def study_page(document: StudyDocument, frame: Frame, *, here: str) -> StudyPage:
    shown, ended = Shown(document), document.state.ended
    close_href = urls.with_state(here, **shown_query(document).with_(chart=None).state)
    return StudyPage(
        frame=frame,
        document=document,
        facts=_facts(document),
        controls=study_controls(document, here, shared=frame.shared),
        rows_axis=shown.axis(document.table.rows_axis),
        averaged=shown.averaged,
        grid=study_grid(shown),
        empty=_empty(document),
        chart=study_chart(document, close_href, shared=frame.shared),
        models_open=len(document.models) <= MAX_OPEN_MODELS,
        state_name=document.state.value.capitalize() if ended else "Still running",
        bar=Bar(document.done + document.failed, max(1, document.cells), True),
        progress_note=_progress(document),
        failed_note=f"{formats.count(document.failed)} failed" if document.failed else "none failed",
        failures_left=_more(document.failed - len(document.failures)),
        retry_href=None if frame.shared or document.failed < 2 else document.retry_href,
        jobs=tuple(job_line(job) for job in document.jobs),
        jobs_left=_more(document.cells - len(document.jobs)),
        delete_href=urls.api(document.href) if ended and not frame.shared else None,
        after_delete=urls.studies(),
    )


def _facts(document: StudyDocument) -> tuple[Fact, ...]:
    known = {axis: [value for value in values if value != "none"] for axis, values in document.axes.items()}
    return tuple(
        Fact("", formats.count(len(values)), axis_name(axis, document.measure) + ("" if len(values) == 1 else "s"))
        for axis, values in known.items()
        # One window length, one allocation and one group are what most studies have.
        if len(values) > 1 or (values and axis not in {"seqlen", "allocation", "group"})
    )


def _empty(document: StudyDocument) -> str:
    """The reason why there is no table; empty where there is one."""
    if not document.axes["task"]:
        return "This study names no task; its jobs stand below."
    if not document.table.rows:
        return (
            "No cell of this study matches the filters. Remove one of them."
            if document.filters
            else ("Nothing is pruned in this study.")
        )
    return ""


def _more(left: int) -> str:
    return f"and {formats.count(left)} more" if left > 0 else ""


def _progress(document: StudyDocument) -> str:
    if document.state.ended:
        return f"{formats.plural(document.cells, 'job')}, {document.state.value}."
    left = document.cells - document.done - document.failed
    return f"{formats.plural(left, 'job')} to go, {formats.count(document.running)} running now."
