"""Contexts of the macros in ``site/parts.html``: menus, facts and legends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from prunescope.server import urls

Value = TypeVar("Value")


@dataclass(frozen=True)
class Option:
    """One choice of a menu or a row of buttons; a link, so that it works without JavaScript."""

    label: str
    href: str
    current: bool
    note: str = ""


@dataclass(frozen=True)
class Picker:
    """A menu or a row of buttons. ``shown`` is the text of the menu's button, ``label`` the text for screen readers."""

    label: str
    shown: str
    options: tuple[Option, ...]


def picker(label: str, names: Mapping[Value, str], current: Value, href: Callable[[Value], str]) -> Picker:
    """A picker with an option for each value. ``names``: value -> label; ``href`` returns the link of a value."""
    options = tuple(Option(name, href(value), value == current) for value, name in names.items())
    return Picker(label, names[current], options)


@dataclass(frozen=True)
class Fact:
    """A number under a page's title, with the text before and after it. ``term`` is the word of the glossary that
    defines it, None if ``before`` is that word."""

    before: str
    strong: str
    after: str = ""
    term: str | None = None


@dataclass(frozen=True)
class Legend:
    """The numbers under a colour ramp, whose css class is ``ramp``."""

    low: str
    middle: str
    high: str
    ramp: str


class Href(Protocol):
    """A function that returns the current page's address with some query parameters changed (None removes one)."""

    def __call__(self, **changes: urls.State) -> str: ...
