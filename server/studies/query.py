"""The query string of a study's address, as one class for its page, its document and its files."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.store.studies.table import AXES

Labels = Annotated[Sequence[str] | None, Query(description="only these values of the axis; may be given several times")]
Value = TypeVar("Value", bound=str)


class StudyQuery(BaseModel, frozen=True):
    """The axes of a study's table, its ``measure``, whether its cells ``show`` the measure or the difference to dense,
    the ``published`` table of the paper, and the ``chart``, each None for the default; and for each axis the values to
    which it is restricted, None for all."""

    rows: str | None = None
    columns: str | None = None
    measure: str | None = None
    show: str | None = None
    published: str | None = None
    chart: str | None = None
    model: Labels = None
    method: Labels = None
    pattern: Labels = None
    calibration: Labels = None
    seqlen: Labels = None
    allocation: Labels = None
    seed: Labels = None
    task: Labels = None
    group: Labels = None

    @property
    def where(self) -> dict[str, Sequence[str]]:
        """Axis -> values, for the axes that are restricted."""
        return {axis: labels for axis in AXES if (labels := getattr(self, axis))}

    def with_(self, **changes: object) -> "StudyQuery":
        """The query with some fields changed."""
        return self.model_copy(update=changes)

    @property
    def state(self) -> dict[str, urls.State]:
        """The parameters of an address, without those that are None."""
        return self.model_dump(exclude_none=True)


def _checked(request: Request, query: Annotated[StudyQuery, Query()]) -> StudyQuery:
    """The query. Raises Problem 422 for an unknown parameter, so that a misspelled filter does not show all cells."""
    known = dict.fromkeys([*AXES, *StudyQuery.model_fields])
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise bad_field(name, value, list(AXES), unknown_name(name, known))
    return query


def one_of(name: str, value: str | None, known: Sequence[Value]) -> Value:
    """The value of the parameter ``name``, the first known one if it is None. Raises Problem 422 for an unknown one."""
    found = known[0] if value is None else next((each for each in known if each == value), None)
    if found is None:
        raise bad_field(name, value, [*map(str, known)], unknown_name(value, known))
    return found


AskedStudy = Annotated[StudyQuery, Depends(_checked)]
