"""The spec of an evaluation, and the field types that all specs share."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import MAX_LAYERS, MAX_NAME, MAX_REFERENCE, MAX_ROWS, MAX_TASKS
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.specs.perplexity import Perplexity
from prunescope.jobs.strict import Strict, validation_error
from prunescope.jobs.vocabulary import TASKS

Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REFERENCE)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Tasks = Annotated[tuple[Name, ...], Field(max_length=MAX_TASKS)]
Newline = Literal["real", "literal"]


def _some_layers(layers: tuple[int, ...]) -> tuple[int, ...]:
    if not layers:
        raise validation_error("no layer was given; leave the field out for all of them", allowed="at least one layer")
    return tuple(sorted(set(layers)))


Layers = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=MAX_LAYERS)], ...], Field(max_length=MAX_LAYERS), AfterValidator(_some_layers)
]
"""Layers, ascending and each once."""


def known_tasks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`, for use in validators. Raises a validation error for an unknown or repeated task."""
    for index, name in enumerate(names):
        if name not in TASKS:
            raise validation_error(unknown_name(name, TASKS), allowed=list(TASKS), field=str(index), given=name)
    if len(set(names)) < len(names):
        raise validation_error("names a task twice", allowed="each task once")
    return names


class EvaluateSpec(Strict):
    """Measure a model's accuracy on tasks and, with `perplexity`, its perplexity on held-out text; at least one of the
    two is required. `limit` is the number of rows used from the start of each task (None: all).

    `newline` is the line end in the paper's prompt (tasks yelp, imdb, sentiment140, reviews): `real` is a line break,
    `literal` a backslash followed by an n, as in the paper's Figure 1.
    """

    model: Reference
    tasks: Tasks = ()
    limit: int | None = Field(default=None, ge=1, le=MAX_ROWS)
    seed: Seed = 0
    newline: Newline = "real"
    perplexity: Perplexity | None = None

    _tasks = field_validator("tasks")(known_tasks)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.tasks and self.perplexity is None:
            raise validation_error(
                "needs at least one task, or perplexity", allowed=list(TASKS), field="tasks", given=list(self.tasks)
            )
        return self
