"""Share links: a token opens one page (path and query) without a login, until it is revoked."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, select, update

from prunescope.jobs.problems import bad_field, not_found
from prunescope.store.database import Database
from prunescope.store.jobs.store import utc_now
from prunescope.store.paging import checked_limit, older_than, page
from prunescope.store.tables import shares

LONGEST_PATH = 4000


class Share(BaseModel):
    """One share link."""

    model_config = ConfigDict(frozen=True)

    token: str
    path: str
    created_at: datetime


Shares: TypeAlias = list[Share]


class ShareStore:
    """All share links of an installation."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.now = now

    def create(self, path: str) -> Share:
        """Create a link to a page of this site. Raises Problem 422 if `path` leads to another site or is not a page
        that can be shared."""
        share = Share(token=secrets.token_urlsafe(16), path=_checked(path), created_at=self.now())
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
        return Share(token=row.token, path=row.path, created_at=row.created_at)

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
        return [Share(token=row.token, path=row.path, created_at=row.created_at) for row in items], following

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
