"""Fields and sections of the job form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from prunescope.server.site.documents import Choice

Control = Literal["text", "number", "select", "checks", "area", "models"]
Shape = Literal["text", "number", "flag", "list", "numbers", "texts", "words"]
"""How the script turns what was written into JSON."""


@dataclass(frozen=True)
class Field:
    """One control: ``path`` is where its value goes in the spec, ``when`` (path=value|value) when it is shown. Of boxes
    to tick ``value`` lists the ticked ones, with commas between them."""

    path: str
    label: str
    control: Control = "text"
    shape: Shape = "text"
    value: str = ""
    choices: Sequence[Choice] = ()
    hint: str = ""
    placeholder: str = ""
    needed: bool = False
    least: str = ""
    most: str = ""
    step: str = ""
    pattern: str = ""
    when: str = ""

    @property
    def chosen(self) -> list[str]:
        """The values of the ticked boxes."""
        return self.value.split(",")

    @property
    def groups(self) -> dict[str, list[Choice]]:
        """Heading -> boxes; without a heading where all of them have the same one."""
        titles = dict.fromkeys(each.group or "" for each in self.choices)
        return {
            title if len(titles) > 1 else "": [each for each in self.choices if (each.group or "") == title]
            for title in titles
        }


@dataclass(frozen=True)
class Section:
    title: str
    fields: tuple[Field, ...]


def model(path: str, label: str, value: str) -> Field:
    """A text field for a model's reference that suggests the known models."""
    hint = "demo, a hub id (with @revision), pruned:<id>, or a folder below a model root"
    return Field(path, label, control="models", value=value, hint=hint, needed=True)


def number(path: str, label: str, value: str, *, least: str = "", most: str = "", hint: str = "") -> Field:
    """A number field; integers only unless its `step` is changed."""
    return Field(
        path, label, control="number", shape="number", value=value, least=least, most=most, hint=hint, step="1"
    )


def select(path: str, label: str, choices: Sequence[Choice], chosen: str, *, hint: str = "") -> Field:
    """One of some choices."""
    return Field(path, label, control="select", choices=choices, value=chosen, hint=hint)


def checks(path: str, label: str, choices: Sequence[Choice], chosen: str) -> Field:
    """Any of some choices, by their groups."""
    return Field(path, label, control="checks", shape="list", choices=choices, value=chosen)


def shown(field: Field, when: str) -> Field:
    """The field, shown only when another has one of some values."""
    return replace(field, when=when)
