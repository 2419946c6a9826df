"""The documents of share links."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from prunescope.server.site.documents import Document

EXAMPLE_PATH = "/attributions/9f2c0123456789ab/neurons/15/2194?example=0"

ResultState = Literal["same", "made again", "removed"]


class ShareRequest(BaseModel, extra="forbid", json_schema_extra={"examples": [{"path": EXAMPLE_PATH}]}):
    """A page of this site, with its query: exactly what the link will show."""

    path: str = Field(min_length=1, examples=[EXAMPLE_PATH])


class ShareDocument(Document):
    token: str
    url: str  # absolute
    href: str  # of the link, without the site
    path: str  # of the page in the dashboard
    kind: str  # of the page: Neuron, Study, ...
    title: str | None  # of the page when the link was made; None for a link of an earlier version
    view: list[str]  # the parameters of the page: "example 0"
    created_at: datetime
    opened_at: datetime | None  # the last time, to ten minutes; None if it was never opened
    result: ResultState | None
    """The result that the page shows, compared with the one when the link was made. None if the page shows no stored
    result, or if nothing is known of the one when the link was made."""
