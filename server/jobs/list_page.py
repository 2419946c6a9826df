"""The list of jobs as a page."""

from dataclasses import dataclass

from prunescope.jobs.documents import JobKind, JobState
from prunescope.server import urls
from prunescope.server.jobs.documents import JobItem
from prunescope.server.jobs.lines import JobLine, job_line
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Option, Picker


@dataclass(frozen=True)
class JobsPage:
    """The context of ``jobs/list.html``."""

    frame: Frame
    filters: tuple[Picker, ...]
    lines: tuple[JobLine, ...]
    empty: Empty
    start: tuple[Link, ...]
    older_href: str | None


def jobs_page(
    page: Page[JobItem], frame: Frame, *, kind: JobKind | None, state: JobState | None, start: list[Link]
) -> JobsPage:
    kinds = tuple(
        Option(name, urls.jobs(kind=value, state=state), value == kind)
        for name, value in (("All", None), *((kind.value.capitalize(), kind) for kind in JobKind))
    )
    states = tuple(
        Option(name, urls.jobs(kind=kind, state=value), value == state)
        for name, value in (("Any state", None), *((state.value.capitalize(), state) for state in JobState))
    )
    filtered = kind is not None or state is not None
    empty = (
        Empty("No such jobs", "None of the jobs is of this kind and state.", "Show all of them", urls.jobs())
        if filtered
        else Empty("No jobs yet", "Pruning, measuring and attributing all run as jobs.", "Start one", urls.new_job())
    )
    lines = tuple(job_line(job) for job in page.items)
    shown = state.value.capitalize() if state else "Any state"
    return JobsPage(
        frame, (Picker("Kind", "", kinds), Picker("State", shown, states)), lines, empty, tuple(start), page.next_href
    )
