"""Base classes of documents, and the window of a list that is given by a cursor and a limit."""

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from prunescope.jobs.problems import bad_field

Item = TypeVar("Item")


class Document(BaseModel, frozen=True):
    """Base of all documents; frozen, since documents are cached."""


class Link(Document):
    label: str
    href: str


class Choice(Document):
    """A value offered by a form."""

    value: str
    label: str
    group: str | None = None
    note: str | None = None


class Page(Document, Generic[Item]):
    """A part of a list, newest first. ``next`` is the cursor of the following items, None at the end."""

    items: list[Item]
    next: str | None = None
    next_href: str | None = None


@dataclass(frozen=True)
class Window:
    """A part of a list whose order does not change; its cursor is the index of its first item."""

    offset: int
    limit: int

    @classmethod
    def parse(cls, cursor: str | None, limit: int, most: int, field: str = "limit") -> Self:
        """The window of a cursor and a limit. Raises Problem 422 for an invalid cursor, and for a limit (the parameter
        ``field``) outside 1 to ``most``."""
        if cursor is not None and not (cursor.isdecimal() and len(cursor) <= 10):
            raise bad_field("cursor", cursor, "the `next` of a list", f"{cursor[:40]!r} is no cursor of this list")
        if not 1 <= limit <= most:
            raise bad_field(field, limit, f"1 to {most}", f"{limit} is not between 1 and {most}")
        return cls(int(cursor or 0), limit)

    def after(self, total: int) -> str | None:
        """The cursor of the next window, None at the end."""
        end = self.offset + self.limit
        return str(end) if end < total else None
