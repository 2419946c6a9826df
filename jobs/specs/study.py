"""A grid of jobs: which models, pruned how, measured on what, and which attributions beside them."""

from collections.abc import Iterable
from math import prod
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from jobs.problems import unknown_name
from jobs.specs.attribute import MOST_VARIANTS, Reading
from jobs.specs.evaluate import Newline, Reference, Seed, known_tasks
from jobs.specs.perplexity import Perplexity
from jobs.specs.prune import Allocation, Calibration, Method, NofM, Pattern
from jobs.strict import Strict, refused
from jobs.vocabulary import CALIBRATION_SETS, METHODS, OWL, TASKS, Uniform

MOST_CELLS = 20_000

Seqlen = Annotated[int, Field(ge=2, le=1_000_000)]


class StudyAttribution(Reading):
    """An attribution of a study: its pruned variants are the study's pruned models of `dense` (None: one for each
    model). What else is named keeps some of them, by the names that the study gives: methods, patterns, calibration
    sets and lengths of their windows; what no text went into is not asked for the latter two."""

    dense: Reference | None = None
    methods: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    calibrations: tuple[str, ...] = ()
    seqlens: tuple[Seqlen, ...] = ()

    def shows(self, method: Method, pattern: Pattern, calibration: Calibration | None) -> bool:
        """Whether what is pruned in this way is one of its variants."""
        return (
            (not self.methods or method.name in self.methods)
            and (not self.patterns or pattern in self.patterns)
            and (not self.calibrations or calibration is None or str(calibration) in self.calibrations)
            and (not self.seqlens or calibration is None or calibration.seqlen in self.seqlens)
        )


class StudySpec(Strict):
    """A grid: models x methods x patterns x allocations x calibrations x seqlens x seeds, each measured on the tasks,
    beside the dense models.

    `seqlens` cuts each calibration set into windows of each length, `seeds` draws it anew; without them a calibration's
    own count. An allocation that does not go with a pattern (owl with n:m) is left out for that pattern. `limit` rows
    of each task (None: all), asked with `newline` as `EvaluateSpec` has it. `perplexity` is measured by the same jobs
    as the tasks.
    """

    name: str | None = Field(default=None, max_length=200)
    models: tuple[Reference, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    allocations: tuple[Allocation, ...] = (Uniform(),)
    calibrations: tuple[Calibration, ...] = ()
    seqlens: tuple[Seqlen, ...] = ()
    tasks: tuple[str, ...] = ()
    attributions: tuple[StudyAttribution, ...] = ()
    seeds: tuple[Seed, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    newline: Newline = "real"
    perplexity: Perplexity | None = None

    _tasks = field_validator("tasks")(known_tasks)

    @field_validator("models", "methods", "patterns", "allocations", "calibrations", "seqlens", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value for index, value in enumerate(values) if value not in values[:index])

    @field_validator("allocations")
    @classmethod
    def _some_allocation(cls, allocations: tuple[Allocation, ...]) -> tuple[Allocation, ...]:
        return allocations or (Uniform(),)

    @property
    def measured(self) -> bool:
        """Whether its models are measured on anything."""
        return bool(self.tasks) or self.perplexity is not None

    @property
    def draws(self) -> tuple[Calibration, ...]:
        """Every calibration set in every length and with every seed, each once."""
        return tuple(
            dict.fromkeys(
                calibration.model_copy(update={"seqlen": seqlen, "seed": seed})
                for calibration in self.calibrations
                for seqlen in self.seqlens or (calibration.seqlen,)
                for seed in self.seeds or (calibration.seed,)
            )
        )

    @property
    def ways(self) -> tuple[tuple[Method, Pattern, Allocation], ...]:
        """How each model is pruned, whatever the text: every combination that makes sense."""
        return tuple(
            (method, pattern, allocation)
            for method in self.methods
            for pattern in self.patterns
            for allocation in self.allocations
            if not (isinstance(allocation, OWL) and isinstance(pattern, NofM))
        )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.methods and not self.measured:
            raise _needs("tasks", "a study without methods measures its models on tasks", list(TASKS))
        if self.methods and not self.patterns:
            raise _needs("patterns", "methods are given", ["0.5", "2:4"])
        if self.attributions and not self.methods:
            raise _needs("methods", "an attribution compares a dense model with pruned ones", list(METHODS))
        for index, attribution in enumerate(self.attributions):
            for field, named, known in (
                ("dense", (attribution.dense or self.models[0],), self.models),
                ("methods", attribution.methods, tuple(method.name for method in self.methods)),
                ("patterns", _texts(attribution.patterns), _texts(self.patterns)),
                ("calibrations", attribution.calibrations, _texts(self.calibrations)),
                ("seqlens", _texts(attribution.seqlens), _texts(draw.seqlen for draw in self.draws)),
            ):
                for name in named:
                    if name not in known:
                        message, place = unknown_name(name, known), f"attributions.{index}.{field}"
                        raise refused(message, allowed=list(known), field=place, given=name)
        return self

    @model_validator(mode="after")
    def _allocations_fit(self) -> Self:
        idle = [each for each in self.allocations if isinstance(each, OWL)]
        if idle and self.patterns and all(isinstance(pattern, NofM) for pattern in self.patterns):
            given = ", ".join(str(pattern) for pattern in self.patterns)
            raise refused(
                f"owl gives each layer a sparsity of its own, and {given} is the same share everywhere; "
                "give an unstructured pattern too, or leave owl out",
                allowed=["uniform", "owl with an unstructured pattern"],
                field="allocations",
                given="owl",
            )
        return self

    @model_validator(mode="after")
    def _calibrations_fit(self) -> Self:
        calibrated = [part.name for part in (*self.methods, *self.allocations) if part.calibrated]
        if self.methods and calibrated and not self.calibrations:
            sets = [f"dataset: {name}" for name in CALIBRATION_SETS]
            raise _needs("calibrations", f"{calibrated[0]} needs a calibration set", sets)
        for index, calibration in enumerate(self.calibrations):
            if self.seqlens and calibration.seqlen is not None:
                raise refused(
                    f"{calibration} has a seqlen of its own, and seqlens gives every calibration set its lengths; "
                    "leave one of them out",
                    allowed="either seqlens or a seqlen for each calibration set",
                    field=f"calibrations.{index}.seqlen",
                    given=calibration.seqlen,
                )
        return self

    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        # The lists themselves may be so long that their combinations could not be counted one by one.
        sizes = (len(self.methods), len(self.patterns), len(self.allocations))
        if prod(sizes) > MOST_CELLS:
            product = " x ".join(map(str, sizes))
            raise refused(
                f"the grid has {product} ways to prune a model; at most {MOST_CELLS} cells",
                allowed=f"at most {MOST_CELLS} cells",
            )
        draws = len(self.calibrations) * max(1, len(self.seqlens)) * max(1, len(self.seeds))
        variants = sum(
            draws if method.calibrated or allocation.calibrated else 1 for method, _, allocation in self.ways
        )
        cells = len(self.models) * (1 + 2 * variants + len(self.attributions))
        if cells > MOST_CELLS:
            raise refused(
                f"the grid has up to {cells} cells; at most {MOST_CELLS}", allowed=f"at most {MOST_CELLS} cells"
            )
        for index, attribution in enumerate(self.attributions):
            variants = sum(
                attribution.shows(method, pattern, calibration)
                for method, pattern, allocation in self.ways
                for calibration in (self.draws if method.calibrated or allocation.calibrated else (None,))
            )
            if not 1 <= variants <= MOST_VARIANTS:
                raise refused(
                    f"an attribution compares 1 to {MOST_VARIANTS} pruned models with the dense one, and this has "
                    f"{variants} of each model; name other methods, patterns, calibrations or seqlens",
                    allowed=f"1 to {MOST_VARIANTS} pruned models",
                    field=f"attributions.{index}",
                    given=None,
                )
        return self


def _needs(field: str, because: str, allowed: list[str]) -> Exception:
    return refused(f"needs at least one: {because}", allowed=allowed, field=field, given=[])


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, values)))
