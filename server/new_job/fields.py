"""The controls of the job form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
    choices: Sequence[Choice] = ()
    control: Control = "text"
    shape: Shape = "text"
    value: str = ""
    hint: str = ""
    placeholder: str = ""
    needed: bool = False
    least: str = ""
    most: str = ""
    step: str = ""
    pattern: str = ""
    when: str = ""

    @property
    def groups(self) -> dict[str, list[Choice]]:
        """Heading -> boxes; without a heading where all of them have the same one."""
        titles = dict.fromkeys(each.group or "" for each in self.choices)
        return {
            title if len(titles) > 1 else "": [each for each in self.choices if (each.group or "") == title]
            for title in titles
        }


Sections = dict[str, list[Field]]
"""Heading -> fields."""

number = partial(Field, control="number", shape="number", step="1")
select = partial(Field, control="select")
checks = partial(Field, control="checks", shape="list")
model = partial(
    Field,
    control="models",
    hint="demo, a hub id (with @revision), pruned:<id>, or a folder below a model root",
    needed=True,
)
"""A text field for a model's reference that suggests the known models."""
