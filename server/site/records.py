"""Going through all records of a kind, where a page needs those that name a model."""

from collections.abc import Iterator

from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.server.site.names import references_of
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.paging import LONGEST_PAGE

MAX_READ = 2000
"""Newest records that are looked through; a larger installation sees the newest ones."""


def records_of(results: Results, kind: str) -> Iterator[Record]:
    """The newest records of a kind."""
    cursor: str | None = None
    for _ in range(MAX_READ // LONGEST_PAGE):
        items, cursor = results.list(kind, cursor=cursor, limit=LONGEST_PAGE)
        yield from items
        if cursor is None:
            return


def naming(results: Results, kind: str, reference: str) -> list[Record]:
    """The records of a kind whose spec names this model."""
    return [record for record in records_of(results, kind) if reference in references_of(record.spec)]


def job_link(record: Record) -> Link | None:
    """The job that made a record."""
    return Link(label="Job", href=urls.job(record.job)) if record.job else None
