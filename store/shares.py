"""Share links: a token opens one page (path and query) without a login, until it is revoked."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, or_, select, update

from prunescope.jobs.problems import bad_field, not_found
from prunescope.store.database import Database
from prunescope.store.jobs.store import utc_now
from prunescope.store.paging import checked_limit, older_than, page
from prunescope.store.tables import shares

LONGEST_PATH = 4000
LONGEST_TITLE = 300
OPENED_SECONDS = 600
"""Minimum time between two updates of the time at which a link was last opened."""


class Share(BaseModel):
    """One share link. `title` and `digest` are those of the page when the link was made: its title, and the digest of
    the results that it showed (None if it showed none, or for a link of an earlier version). `opened_at` is the time
    of the last opening, at most OPENED_SECONDS too early; None if the link was never opened."""

    model_config = ConfigDict(frozen=True)

    token: str
    path: str
    title: str | None
    digest: str | None
    created_at: datetime
    opened_at: datetime | None


Shares: TypeAlias = list[Share]


class ShareStore:
    """All share links of an installation."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.now = now

    def create(self, path: str, *, title: str | None = None, digest: str | None = None) -> Share:
        """Create a link to a page of this site. Raises Problem 422 if `path` leads to another site or is not a page
        that can be shared."""
        share = Share(
            token=secrets.token_urlsafe(16),
            path=_checked(path),
            title=title and title[:LONGEST_TITLE],
            digest=digest,
            created_at=self.now(),
            opened_at=None,
        )
        with self.database.writing() as connection:
            connection.execute(insert(shares).values(share.model_dump()))
        return share

    def get(self, token: str) -> Share:
        """The link with this token. Raises Problem 404 if there is none or it was revoked."""
        query = select(shares).where(shares.c.token == token, shares.c.revoked_at.is_(None))
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise not_found("share link", token)
        return _to_share(row)

    def opened(self, share: Share) -> None:
        """Record that a link was opened now; writes at most once in OPENED_SECONDS for each link."""
        now = self.now()
        before = now - timedelta(seconds=OPENED_SECONDS)
        if share.opened_at is not None and share.opened_at > before:
            return
        # The condition is repeated, since another request may have written meanwhile.
        due = or_(shares.c.opened_at.is_(None), shares.c.opened_at <= before)
        with self.database.writing() as connection:
            connection.execute(update(shares).where(shares.c.token == share.token, due).values(opened_at=now))

    def list(self, *, cursor: str | None = None, limit: int = 50) -> tuple[Shares, str | None]:
        """(links that were not revoked, cursor of the next page or None), newest first. Raises Problem 422 for an
        invalid cursor or limit."""
        query = select(shares).where(shares.c.revoked_at.is_(None))
        if cursor is not None:
            query = query.where(older_than(cursor, shares.c.created_at, shares.c.token))
        query = query.order_by(shares.c.created_at.desc(), shares.c.token.desc()).limit(checked_limit(limit) + 1)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        items, following = page(rows, limit, lambda row: (row.created_at, row.token))
        return [_to_share(row) for row in items], following

    def revoke(self, token: str) -> None:
        """Revoke a link. Raises Problem 404 if there is none or it was revoked already."""
        with self.database.writing() as connection:
            revoked = connection.execute(
                update(shares)
                .where(shares.c.token == token, shares.c.revoked_at.is_(None))
                .values(revoked_at=self.now())
            )
        if revoked.rowcount != 1:
            raise not_found("share link", token)


def _to_share(row: Any) -> Share:
    return Share(
        token=row.token,
        path=row.path,
        title=row.title,
        digest=row.digest,
        created_at=row.created_at,
        opened_at=row.opened_at,
    )


def _checked(path: str) -> str:
    """`path` unchanged. Raises Problem 422 unless it is the path of a page of this site, so that a share link never
    redirects to another site."""
    allowed = "the path of a page, such as /attributions/<id>/neurons/<layer>/<neuron>?example=0"
    parts = urlsplit(path)
    if (
        not path.startswith("/")
        or path.startswith("//")
        or "\\" in path
        or parts.scheme
        or parts.netloc
        or any(ord(character) < 0x20 or ord(character) == 0x7F for character in path)
        or len(path) > LONGEST_PATH
    ):
        raise bad_field("path", path, allowed, f"{path!r} is no path of a page; give {allowed}")
    if parts.path.startswith(("/s/", "/api/")):
        raise bad_field("path", path, allowed, f"{path!r} is no page that can be shared; give {allowed}")
    return path
