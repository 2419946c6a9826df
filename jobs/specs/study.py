"""A grid of jobs: which models, pruned how, measured on what, and which attributions beside them."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from jobs.problems import unknown_name
from jobs.specs.attribute import MOST_VARIANTS, Reading
from jobs.specs.evaluate import Reference, Seed, known_tasks
from jobs.specs.prune import Calibration, Method, Pattern
from jobs.strict import Strict, refused
from jobs.vocabulary import CALIBRATION_SETS, METHODS, TASKS

MOST_CELLS = 20_000


class StudyAttribution(Reading):
    """An attribution of a study: its pruned variants are the study's pruned models of `dense` (None: one for each
    model)."""

    dense: Reference | None = None


class StudySpec(Strict):
    """A grid: models x methods x patterns x calibrations x seeds, each measured on the tasks, beside the dense models.

    `seeds` draws each calibration set anew; without it a calibration's own seed counts. `limit` rows of each task
    (None: all).
    """

    name: str | None = Field(default=None, max_length=200)
    models: tuple[Reference, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    tasks: tuple[str, ...] = ()
    attributions: tuple[StudyAttribution, ...] = ()
    seeds: tuple[Seed, ...] = ()
    limit: int | None = Field(default=None, ge=1)

    _tasks = field_validator("tasks")(known_tasks)

    @field_validator("models", "methods", "patterns", "calibrations", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value for index, value in enumerate(values) if value not in values[:index])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        def needs(field: str, because: str, allowed: list[str] | str) -> Exception:
            return refused(f"needs at least one: {because}", allowed=allowed, field=field, given=[])

        if not self.methods and not self.tasks:
            raise needs("tasks", "a study without methods measures its models on tasks", list(TASKS))
        if self.methods and not self.patterns:
            raise needs("patterns", "methods are given", ["0.5", "2:4"])
        calibrated = [method.name for method in self.methods if method.calibrated]
        if calibrated and not self.calibrations:
            raise needs(
                "calibrations",
                f"{calibrated[0]} needs a calibration set",
                [f"dataset: {name}" for name in CALIBRATION_SETS],
            )
        if self.attributions and not self.methods:
            raise needs("methods", "an attribution compares a dense model with pruned ones", list(METHODS))
        for index, attribution in enumerate(self.attributions):
            if attribution.dense is not None and attribution.dense not in self.models:
                raise refused(
                    unknown_name(attribution.dense, self.models),
                    allowed=list(self.models),
                    field=f"attributions.{index}.dense",
                    given=attribution.dense,
                )
        draws = len(self.calibrations) * max(1, len(self.seeds))
        variants = len(self.patterns) * sum(draws if method.calibrated else 1 for method in self.methods)
        cells = len(self.models) * (1 + 2 * variants + len(self.attributions))
        if cells > MOST_CELLS:
            raise refused(
                f"the grid has up to {cells} cells; at most {MOST_CELLS}", allowed=f"at most {MOST_CELLS} cells"
            )
        if self.attributions and variants > MOST_VARIANTS:
            raise refused(
                f"the grid has {variants} pruned models of each model; an attribution compares at most {MOST_VARIANTS}",
                allowed=f"at most {MOST_VARIANTS} pruned models",
                field="attributions",
                given=None,
            )
        return self
