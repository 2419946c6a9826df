"""Contexts of the macros in ``site/parts.html``: menus, facts, legends, and what an empty list says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from prunescope.server import urls
from prunescope.server.site.frame import Frame

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Option:
    """One choice of a menu or a row of buttons: a link, so that it works without script."""

    label: str
    href: str
    current: bool
    note: str = ""


@dataclass(frozen=True)
class Picker:
    """A menu (``shown`` is its button's text) or a row of buttons; ``label`` is what a screen reader says."""

    label: str
    shown: str
    options: tuple[Option, ...]


def picker(label: str, names: Mapping[Value, str], current: Value, href: Callable[[Value], str]) -> Picker:
    """A choice of one value by its name; ``href`` is the address where it is chosen."""
    options = tuple(Option(name, href(value), value == current) for value, name in names.items())
    return Picker(label, names[current], options)


@dataclass(frozen=True)
class Empty:
    """The text in place of an empty list, with a link to start something."""

    title: str
    text: str
    action: str | None = None
    action_href: str | None = None


@dataclass(frozen=True)
class Fact:
    """A number under a page's title, with the words before and after it."""

    before: str
    strong: str
    after: str = ""


@dataclass(frozen=True)
class Legend:
    """The numbers under a ramp: ``ramp`` is its css class."""

    low: str
    middle: str
    high: str
    ramp: str


@dataclass(frozen=True)
class ListPage(Generic[Item]):
    """The context of a list of documents, newest first; ``empty`` is shown where there are none, and its action starts
    the first one."""

    frame: Frame
    items: list[Item]
    empty: Empty
    older_href: str | None


class Href(Protocol):
    """The address of the page that is open, with some of its state changed."""

    def __call__(self, **changes: urls.State) -> str: ...
