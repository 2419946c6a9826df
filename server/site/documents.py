"""What all documents are built on."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


class Document(BaseModel):
    """Base of all documents: frozen, so that a cached one cannot be changed by who reads it."""

    model_config = ConfigDict(frozen=True)


class Link(Document):
    label: str
    href: str


class Page(Document, Generic[Item]):
    """A list, newest first; ``next`` is the cursor of the items after these, None at the end."""

    items: list[Item]
    next: str | None = None
    next_href: str | None = None
