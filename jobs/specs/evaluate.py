"""Measuring a model on tasks, and the fields that every other spec has too."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import MAX_NAME, MAX_REFERENCE, MAX_ROWS, MAX_TASKS
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.specs.perplexity import Perplexity
from prunescope.jobs.strict import Strict, refused
from prunescope.jobs.vocabulary import TASKS

Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REFERENCE)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Tasks = Annotated[tuple[Name, ...], Field(max_length=MAX_TASKS)]
Newline = Literal["real", "literal"]


def known_tasks(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names themselves when all are known and none comes twice, else a refusal; for use in validators."""
    for index, name in enumerate(names):
        if name not in TASKS:
            raise refused(unknown_name(name, TASKS), allowed=list(TASKS), field=str(index), given=name)
    if len(set(names)) < len(names):
        raise refused("names a task twice", allowed="each task once")
    return names


class EvaluateSpec(Strict):
    """Measure a model on tasks; `limit` rows of each (None: all), drawn by `seed`. And on held-out text, where
    `perplexity` is asked for; one of the two there must be.

    `newline` is how the lines of the paper's own prompt end (yelp, imdb, sentiment140, reviews): in a line break, or in
    a backslash and an n as its Figure 1 shows them.
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
            raise refused(
                "needs at least one task, or perplexity", allowed=list(TASKS), field="tasks", given=list(self.tasks)
            )
        return self
