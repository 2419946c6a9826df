"""Base classes of documents, and the window of a list that a cursor and a limit choose."""

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from prunescope.jobs.problems import bad_field

Item = TypeVar("Item")


class Document(BaseModel):
    """Base of all documents: frozen, so that a cached one cannot be changed."""

    model_config = ConfigDict(frozen=True)


class Link(Document):
    label: str
    href: str


class Choice(Document):
    """One value that a form offers."""

    value: str
    label: str
    group: str | None = None
    note: str | None = None


class Page(Document, Generic[Item]):
    """A list, newest first; ``next`` is the cursor of the items after these, None at the end."""

    items: list[Item]
    next: str | None = None
    next_href: str | None = None


@dataclass(frozen=True)
class Window:
    """A part of a list whose order does not change: the cursor is the place of its first item."""

    offset: int
    limit: int

    @classmethod
    def parse(cls, cursor: str | None, limit: int, most: int, field: str = "limit") -> Self:
        """Parses a cursor and a limit. Problem 422 for an unknown cursor and for a limit (the parameter ``field``)
        outside 1 to ``most``."""
        if cursor is not None and not (cursor.isdecimal() and len(cursor) <= 10):
            raise bad_field("cursor", cursor, "the `next` of a list", f"{cursor[:40]!r} is no cursor of this list")
        if not 1 <= limit <= most:
            raise bad_field(field, limit, f"1 to {most}", f"{limit} is not between 1 and {most}")
        return cls(int(cursor or 0), limit)

    def after(self, total: int) -> str | None:
        """The cursor of the next window, None at the end."""
        end = self.offset + self.limit
        return str(end) if end < total else None
