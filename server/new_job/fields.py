"""Controls of a form that makes a job's spec."""

from dataclasses import dataclass, replace
from typing import Literal

from prunescope.server.new_job.documents import MethodChoice
from prunescope.server.site.documents import Choice

Control = Literal["text", "number", "select", "checks", "area", "models"]
Shape = Literal["text", "number", "flag", "list", "numbers", "texts", "words"]
"""How the script turns what was written into JSON."""


@dataclass(frozen=True)
class Choosable:
    value: str
    label: str
    note: str
    chosen: bool


@dataclass(frozen=True)
class Choices:
    """Boxes to be ticked that belong together; the title is empty where there is nothing to tell apart."""

    title: str
    choices: tuple[Choosable, ...]


@dataclass(frozen=True)
class Field:
    """One control: ``path`` is where its value goes in the spec, ``when`` (path=value|value) when it is shown."""

    path: str
    label: str
    control: Control = "text"
    shape: Shape = "text"
    value: str = ""
    choices: tuple[Choosable, ...] = ()
    groups: tuple[Choices, ...] = ()
    hint: str = ""
    placeholder: str = ""
    needed: bool = False
    least: str = ""
    most: str = ""
    step: str = ""
    pattern: str = ""
    when: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    fields: tuple[Field, ...]


def model(path: str, label: str, value: str) -> Field:
    """A model's reference, with those that are known to choose from."""
    hint = "demo, a hub id (with @revision), pruned:<id>, or a folder below a model root"
    return Field(path, label, control="models", value=value, hint=hint, needed=True)


def number(path: str, label: str, value: str, *, least: str = "", most: str = "", hint: str = "") -> Field:
    """A whole number; a `step` of its own lets others in."""
    return Field(
        path, label, control="number", shape="number", value=value, least=least, most=most, hint=hint, step="1"
    )


def select(path: str, label: str, choices: list[Choice] | list[MethodChoice], chosen: str, *, hint: str = "") -> Field:
    """One of some choices."""
    return Field(path, label, control="select", choices=choices_of(choices, chosen), hint=hint)


def checks(path: str, label: str, choices: list[Choice] | list[MethodChoice], chosen: str) -> Field:
    """Any of some choices, by their groups; those of `chosen`, with commas between them, are ticked."""
    titles = list(dict.fromkeys(each.group or "" for each in choices))
    groups = tuple(
        Choices(
            title if len(titles) > 1 else "",
            choices_of([each for each in choices if (each.group or "") == title], chosen),
        )
        for title in titles
    )
    return Field(path, label, control="checks", shape="list", groups=groups)


def choices_of(choices: list[Choice] | list[MethodChoice], chosen: str = "") -> tuple[Choosable, ...]:
    """Choices as a control shows them."""
    wanted = chosen.split(",")
    return tuple(Choosable(each.value, each.label, each.note or "", each.value in wanted) for each in choices)


def chosen_of(choices: tuple[Choosable, ...], chosen: str) -> tuple[Choosable, ...]:
    """The choices with those of `chosen` taken, and no others."""
    wanted = chosen.split(",")
    return tuple(replace(choice, chosen=choice.value in wanted) for choice in choices)


def shown(field: Field, when: str) -> Field:
    """The field, shown only when another has one of some values."""
    return replace(field, when=when)
