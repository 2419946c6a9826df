"""What a study's address says about its table: every axis is a filter, and may stand there several times."""

from typing import Annotated

from fastapi import Depends, Query, Request

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.store.studies.table import AXES

Labels = Annotated[list[str] | None, Query(description="only these values of the axis; may be given several times")]

TABLE_PARAMETERS = ("rows", "columns", "measure", "show", "published", "chart")
"""What else a table's address may say."""


def study_filters(
    request: Request,
    model: Labels = None,
    method: Labels = None,
    pattern: Labels = None,
    calibration: Labels = None,
    seqlen: Labels = None,
    allocation: Labels = None,
    seed: Labels = None,
    task: Labels = None,
    group: Labels = None,
) -> dict[str, list[str]]:
    """Axis -> the values that count. Problem 422 for a name that is no axis and says nothing else: a filter that is
    spelled wrong must not show everything."""
    for name, value in request.query_params.multi_items():
        if name not in AXES and name not in TABLE_PARAMETERS:
            raise bad_field(name, value, list(AXES), unknown_name(name, [*AXES, *TABLE_PARAMETERS]))
    given = (model, method, pattern, calibration, seqlen, allocation, seed, task, group)
    return {axis: labels for axis, labels in zip(AXES, given, strict=True) if labels}


Filters = Annotated[dict[str, list[str]], Depends(study_filters)]
