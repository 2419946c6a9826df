"""The home page, search, shares, errors."""

from datetime import datetime
from typing import Literal

from prunescope.jobs.documents import JobState
from prunescope.server.attributions.documents import AttributionSummary
from prunescope.server.jobs.documents import JobItem
from prunescope.server.site.documents import Document, Link
from prunescope.server.studies.documents import StudySummary


class Home(Document):
    counts: dict[JobState, int]
    running: list[JobItem]
    recent: list[JobItem]
    studies: list[StudySummary]
    attributions: list[AttributionSummary]
    start: list[Link]  # the forms
    events_href: str


class SearchHit(Document):
    kind: Literal["neuron", "word", "model", "job"]
    label: str
    note: str | None
    href: str


class SearchResults(Document):
    query: str
    items: list[SearchHit]
    next: str | None = None


class ShareDocument(Document):
    token: str
    url: str  # absolute, to be sent to somebody else
    path: str
    created_at: datetime


class ErrorPage(Document):
    """What an error page shows: the problem document's fields, for people."""

    status: int
    title: str
    detail: str | None
    errors: list[dict[str, object]]
