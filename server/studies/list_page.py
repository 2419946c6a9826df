"""The list of studies as a page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty
from prunescope.server.studies.documents import StudySummary


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
class StudiesPage:
    """The context of ``studies/list.html``."""

    frame: Frame
    lines: tuple[StudyLine, ...]
    empty: Empty
    start_href: str
    older_href: str | None


def study_line(study: StudySummary) -> StudyLine:
    note = f"{formats.count(study.done)} of {formats.plural(study.cells, 'cell')}"
    if study.failed:
        note += f" · {formats.count(study.failed)} failed"
    return StudyLine(
        title=study.title,
        href=study.href,
        state=study.state.value,
        note=note,
        done=study.done + study.failed,
        total=max(1, study.cells),
        at=formats.timestamp(study.created_at),
        ago=formats.ago(study.created_at),
    )


def studies_page(page: Page[StudySummary], frame: Frame) -> StudiesPage:
    start = urls.new_job(kind=JobKind.STUDY)
    empty = Empty(
        "No studies yet",
        "A study prunes models in many ways and measures every one of them: a table of what each way costs.",
        "Start a study",
        start,
    )
    return StudiesPage(frame, tuple(study_line(item) for item in page.items), empty, start, page.next_href)
