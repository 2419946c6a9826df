"""Keyset pagination, newest first: a cursor contains the key of a page's last item, so that new items do not shift the
next page."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, and_, or_

from prunescope.jobs.problems import bad_field

LONGEST_PAGE = 200

Item = TypeVar("Item")


def older_than(cursor: str, created_at: Column[Any], key: Column[Any]) -> ColumnElement[bool]:
    """Condition: the item comes after the cursor. Raises Problem 422 if the cursor was not created by `page`."""
    try:
        moment, _, name = base64.urlsafe_b64decode(cursor.encode() + b"==").decode().partition("|")
        created = datetime.fromisoformat(moment).astimezone(UTC)
        if "\0" in name:
            raise ValueError("PostgreSQL accepts no null character")
    except (binascii.Error, ValueError, OverflowError):
        raise bad_field(
            "cursor", cursor, "the `next` of an earlier page", f"{cursor!r} is no cursor; use the `next` of a page"
        ) from None
    return or_(created_at < created, and_(created_at == created, key < name))


def page(
    rows: Sequence[Item], limit: int, key: Callable[[Item], tuple[datetime, str]]
) -> tuple[list[Item], str | None]:
    """(the first `limit` rows, cursor of the next page). `rows` are the result of a query for `limit` + 1 rows; if
    there are no more than `limit`, there is no next page and the cursor is None. `key` returns (creation time, id) of a
    row."""
    items = list(rows[:limit])
    if len(rows) <= limit:
        return items, None
    created, name = key(items[-1])
    cursor = f"{created.astimezone(UTC).isoformat()}|{name}"
    return items, base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("=")


def checked_limit(limit: int) -> int:
    """`limit` unchanged. Raises Problem 422 unless it is from 1 to LONGEST_PAGE."""
    if not 1 <= limit <= LONGEST_PAGE:
        raise bad_field("limit", limit, f"1 to {LONGEST_PAGE}", f"{limit} is not between 1 and {LONGEST_PAGE}")
    return limit
