"""The job that made a record."""

from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.store.artefacts.records import Record


def job_link(record: Record) -> Link | None:
    """The job that made a record."""
    return Link(label="Job", href=urls.job(record.job)) if record.job else None
