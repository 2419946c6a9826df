"""Contexts of the list of studies and of one study's page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, ListPage
from prunescope.server.studies.charts_page import Chart, study_chart
from prunescope.server.studies.controls import Controls, study_controls
from prunescope.server.studies.details import Details, cell_details, details_data
from prunescope.server.studies.documents import StudyDocument, StudySummary
from prunescope.server.studies.shown import Shown
from prunescope.server.studies.tables import axis_sizes


@dataclass(frozen=True)
class StudyPage:
    """The context of ``studies/study.html``. ``places``: value of a row -> its place in the table; ``first`` are the
    details that are open at first, ``details`` those of all cells for the script."""

    frame: Frame
    shown: Shown
    facts: tuple[Fact, ...]
    controls: Controls
    places: dict[str, int]
    first: Details | None
    details: dict[str, object]
    chart: Chart | None
    delete_href: str
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
    shown = Shown(document)
    places = {row.value: place for place, row in enumerate(document.table.rows)}
    details = cell_details(shown, places)
    return StudyPage(
        frame=frame,
        shown=shown,
        facts=_facts(shown),
        controls=study_controls(shown, here),
        places=places,
        first=next((each for each in details.values() if each.links), next(iter(details.values()), None)),
        details=details_data(details),
        chart=study_chart(shown, here),
        delete_href=urls.api(document.href),
        after_delete=urls.studies(),
    )


def _facts(shown: Shown) -> tuple[Fact, ...]:
    return tuple(
        Fact("", formats.count(size), shown.measure.axis(axis) + ("" if size == 1 else "s"))
        for axis, size in axis_sizes(shown.document.axes).items()
        # One window length, one allocation and one group are what most studies have.
        if size > 1 or (size and axis not in {"seqlen", "allocation", "group"})
    )
