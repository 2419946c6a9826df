"""Values published in the paper (`studies/published/*.json`), for comparison with measured values.

Each file is one table of the paper: two axes with their labels as this project spells them (`label` has the paper's
spelling), and values in percent (null if the available text of the paper has none). `where` has the labels of other
axes that are constant over the table, `row_where` those that are constant over a row. All remaining axes are averaged
over, or the paper does not state them; `note` says which.
"""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from prunescope.jobs.problems import bad_field, unknown_name

FOLDER = Path(__file__).resolve().parents[2] / "studies" / "published"

Labels = Mapping[str, str]


class PaperTable(BaseModel):
    """The description of a table of the paper. `name` is the name of its file without the suffix, such as `table-1`."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    caption: str
    note: str

    @property
    def title(self) -> str:
        """The name in text: `Table 1`."""
        return self.name.replace("-", " ").capitalize()


class PublishedTable(PaperTable):
    """A table of the paper with its values."""

    model_config = ConfigDict(extra="forbid")

    unit: Literal["percent"]
    rows_axis: str
    columns_axis: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    label: dict[str, dict[str, str]]
    """axis -> label in this project -> the paper's spelling."""
    where: dict[str, str]
    row_where: tuple[dict[str, str], ...] = ()
    values: tuple[tuple[float | None, ...], ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sizes = {len(self.rows), len(self.values), len(self.row_where) or len(self.rows)}
        if len(sizes) > 1 or {len(row) for row in self.values} != {len(self.columns)}:
            raise ValueError(f"{self.name} has rows or columns without values, or values without a row or column")
        return self

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The axes whose labels `value` requires."""
        return (self.rows_axis, self.columns_axis, *dict.fromkeys(axis for row in self.row_where for axis in row))

    def value(self, labels: Labels) -> float | None:
        """The paper's value, as a share (0 to 1), for these labels (axis -> label, for each axis with a single label);
        None if the paper has no value for them.

        Models are compared by the last part of their references, so that a local copy of a hub model is equal to it.
        """
        if any(_key(axis, labels.get(axis, label)) != _key(axis, label) for axis, label in self.where.items()):
            return None
        found = self._values.get(tuple(_key(axis, labels.get(axis, "")) for axis in self.axes))
        return None if found is None else round(found / 100, 6)

    @cached_property
    def _values(self) -> dict[tuple[str, ...], float | None]:
        found: dict[tuple[str, ...], float | None] = {}
        for index, (row, values) in enumerate(zip(self.rows, self.values, strict=True)):
            rest = self.row_where[index] if self.row_where else {}
            for column, value in zip(self.columns, values, strict=True):
                place = {self.rows_axis: row, self.columns_axis: column, **rest}
                found[tuple(_key(axis, place[axis]) for axis in self.axes)] = value
        return found


@cache
def published_tables() -> dict[str, PublishedTable]:
    """Name -> table, for all files, sorted by name."""
    return {file.stem: _read(file) for file in sorted(FOLDER.glob("*.json"))}


def published_table(name: str) -> PublishedTable:
    """The table with this name. Raises Problem 422 if there is none."""
    tables = published_tables()
    if name not in tables:
        raise bad_field("published", name, list(tables), unknown_name(name, tables))
    return tables[name]


def _read(file: Path) -> PublishedTable:
    return PublishedTable.model_validate({"name": file.stem, **json.loads(file.read_text(encoding="utf-8"))})


def _key(axis: str, label: str) -> str:
    """The form of a label that is compared: for a model the last part of its reference, else the label itself."""
    return label.partition("@")[0].rpartition("/")[2].casefold() if axis == "model" else label
