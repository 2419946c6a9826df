"""A study: its accuracy table, coloured around the dense model, what stands behind each cell, and what is to come."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.jobs.lines import Bar, JobLine, job_line
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, ListPage
from prunescope.server.studies.charts_page import Chart, study_chart
from prunescope.server.studies.controls import Controls, study_controls
from prunescope.server.studies.documents import StudyDocument, StudySummary
from prunescope.server.studies.export.shown import listed
from prunescope.server.studies.grid import Grid, study_grid
from prunescope.server.studies.measures import MEASURES, axis_name
from prunescope.server.studies.query import shown_query

MAX_OPEN_MODELS = 8
"""So many are listed at once."""


@dataclass(frozen=True)
class Failure:
    label: str
    state: str
    error: str
    href: str | None
    retry_href: str | None


@dataclass(frozen=True)
class PaperNote:
    title: str
    caption: str
    source: str
    note: str


@dataclass(frozen=True)
class StudyPage:
    """The context of ``studies/study.html``."""

    frame: Frame
    title: str
    chip: str
    facts: tuple[Fact, ...]
    controls: Controls
    rows_axis: str
    averaged: str
    about: tuple[str, ...]
    grid: Grid
    empty: str
    paper: PaperNote | None
    chart: Chart | None
    models: tuple[Link, ...]
    models_note: str
    models_open: bool
    attributions: tuple[Link, ...]
    state: str
    state_name: str
    bar: Bar
    progress_note: str
    failed_note: str
    failures: tuple[Failure, ...]
    failures_left: str
    retry_href: str | None
    job: Link | None
    jobs: tuple[JobLine, ...]
    jobs_note: str
    jobs_left: str
    jobs_href: str | None
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
    averaged = [axis_name(axis, document.measure) for axis in document.table.averaged]
    mean = MEASURES[document.measure].mean
    total = document.cells
    return StudyPage(
        frame=frame,
        title=document.title,
        chip=f"{formats.count(document.done)} of {formats.plural(total, 'cell')}",
        facts=_facts(document),
        controls=study_controls(document, here, shared=frame.shared),
        rows_axis=axis_name(document.table.rows_axis, document.measure),
        averaged=f"Each cell is the {mean} over {listed(averaged)}." if averaged else "",
        about=tuple(document.table.notes),
        grid=study_grid(document),
        empty=_empty(document),
        paper=_paper(document),
        chart=study_chart(
            document, urls.with_state(here, **shown_query(document).with_(chart=None).state), shared=frame.shared
        ),
        models=tuple(document.models),
        models_note=formats.count(document.models_total),
        models_open=len(document.models) <= MAX_OPEN_MODELS,
        attributions=tuple(document.attributions),
        state=document.state.value,
        state_name="Still running" if not document.state.ended else document.state.value.capitalize(),
        bar=Bar(document.done + document.failed, max(1, total), True),
        progress_note=_progress(document),
        failed_note=f"{formats.count(document.failed)} failed" if document.failed else "none failed",
        failures=_failures(document, frame),
        failures_left=_more(document.failed - len(document.failures)),
        retry_href=None if frame.shared or document.failed < 2 else document.retry_href,
        job=None if frame.shared else document.job,
        jobs=tuple(job_line(job) for job in document.jobs),
        jobs_note=formats.count(total),
        jobs_left=_more(total - len(document.jobs)),
        jobs_href=None if frame.shared else document.job.href,
        delete_href=urls.api(document.href) if document.state.ended and not frame.shared else None,
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
    """Why there is no table; nothing where there is one."""
    if not document.axes["task"]:
        return "This study names no task; its jobs stand below."
    if not document.table.rows:
        return (
            "No cell of this study is what the filters ask for. Let go of one of them."
            if document.filters
            else ("Nothing is pruned in this study.")
        )
    return ""


def _paper(document: StudyDocument) -> PaperNote | None:
    paper = document.published
    if paper is None:
        return None
    return PaperNote(paper.name.replace("-", " ").capitalize(), paper.caption, paper.source, paper.note or "")


def _failures(document: StudyDocument, frame: Frame) -> tuple[Failure, ...]:
    return tuple(
        Failure(
            label=cell.label,
            state=cell.state.value,
            error=cell.error or "",
            href=None if frame.shared else cell.href,
            retry_href=None if frame.shared else cell.retry_href,
        )
        for cell in document.failures
    )


def _more(left: int) -> str:
    return f"and {formats.count(left)} more" if left > 0 else ""


def _progress(document: StudyDocument) -> str:
    if document.state.ended:
        return f"{formats.plural(document.cells, 'job')}, {document.state.value}."
    left = document.cells - document.done - document.failed
    return f"{formats.plural(left, 'job')} to go, {formats.count(document.running)} running now."
