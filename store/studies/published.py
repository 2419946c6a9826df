"""Values that the paper prints (`studies/published/*.json`), to be laid beside measured ones.

A file is a table as the paper has it: two axes, their labels in our words (`label` has the paper's spelling), values in
percent (null where the text at hand has none), what all of it (`where`) or a row of it (`row_where`) holds constant.
Axes that it says nothing of are averaged over, or not stated; its `note` says which.
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


class PublishedTable(BaseModel):
    """One table of the paper; `name` is its file's, such as `table-1`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    caption: str
    note: str
    unit: Literal["percent"]
    rows_axis: str
    columns_axis: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    label: dict[str, dict[str, str]]
    """axis -> our label -> the paper's spelling."""
    where: dict[str, str]
    row_where: tuple[dict[str, str], ...] = ()
    values: tuple[tuple[float | None, ...], ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sizes = {len(self.rows), len(self.values), len(self.row_where) or len(self.rows)}
        if len(sizes) > 1 or {len(row) for row in self.values} != {len(self.columns)}:
            raise ValueError(f"{self.name} has rows or columns without values, or values without them")
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes whose labels `value` needs."""
        return (self.rows_axis, self.columns_axis, *dict.fromkeys(axis for row in self.row_where for axis in row))

    def value(self, labels: Labels) -> float | None:
        """The paper's value, a share (0 to 1), where these labels stand (axis -> label, each axis that has one label
        there); None where it prints none, or none of that.

        A model is known by the last part of its reference, so that a local copy of a hub's model is the same.
        """
        if any(_known(axis, labels.get(axis, label)) != _known(axis, label) for axis, label in self.where.items()):
            return None
        found = self._values.get(tuple(_known(axis, labels.get(axis, "")) for axis in self.axes))
        return None if found is None else round(found / 100, 6)

    @cached_property
    def _values(self) -> dict[tuple[str, ...], float | None]:
        found: dict[tuple[str, ...], float | None] = {}
        for index, (row, values) in enumerate(zip(self.rows, self.values, strict=True)):
            rest = self.row_where[index] if self.row_where else {}
            for column, value in zip(self.columns, values, strict=True):
                place = {self.rows_axis: row, self.columns_axis: column, **rest}
                found[tuple(_known(axis, place[axis]) for axis in self.axes)] = value
        return found


@cache
def published_tables() -> dict[str, PublishedTable]:
    """Name -> table, in the order of the paper."""
    return {file.stem: _read(file) for file in sorted(FOLDER.glob("*.json"))}


def published_table(name: str) -> PublishedTable:
    """The table with this name; Problem 422 for one that there is not."""
    tables = published_tables()
    if name not in tables:
        raise bad_field("published", name, list(tables), unknown_name(name, tables))
    return tables[name]


def _read(file: Path) -> PublishedTable:
    return PublishedTable.model_validate({"name": file.stem, **json.loads(file.read_text(encoding="utf-8"))})


def _known(axis: str, label: str) -> str:
    return label.partition("@")[0].rpartition("/")[2].casefold() if axis == "model" else label
