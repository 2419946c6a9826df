"""The spec of a study: a grid of models and of ways to prune them, with tasks and attributions."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from math import prod
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import (
    MAX_ATTRIBUTIONS,
    MAX_AXIS,
    MAX_CANDIDATES,
    MAX_CELLS,
    MAX_LABEL,
    MAX_NAME,
    MAX_ROWS,
    MAX_SEQLEN,
    MAX_VARIANTS,
)
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.specs.attribute import Reading
from prunescope.jobs.specs.evaluate import Name, Newline, Reference, Seed, Tasks, known_tasks
from prunescope.jobs.specs.perplexity import Perplexity
from prunescope.jobs.specs.prune import Allocation, Calibration, Method, NofM, Pattern
from prunescope.jobs.specs.texts import check_given
from prunescope.jobs.strict import Strict, validation_error
from prunescope.jobs.vocabulary import CALIBRATION_SETS, METHODS, OWL, TASKS, Uniform

Seqlen = Annotated[int, Field(ge=2, le=MAX_SEQLEN)]
Label = Annotated[str, StringConstraints(max_length=MAX_LABEL)]


class StudyAttribution(Reading):
    """An attribution of a study. Its variants are the study's pruned models of `dense` (None: one attribution for each
    model of the study). `methods`, `patterns`, `calibrations` and `seqlens` select variants; empty means all.
    `calibrations` and `seqlens` do not apply to models that were pruned without a calibration set."""

    dense: Reference | None = None
    methods: tuple[Name, ...] = Field(default=(), max_length=MAX_AXIS)
    patterns: tuple[Pattern, ...] = Field(default=(), max_length=MAX_AXIS)
    calibrations: tuple[Label, ...] = Field(default=(), max_length=MAX_AXIS)
    seqlens: tuple[Seqlen, ...] = Field(default=(), max_length=MAX_AXIS)

    @cached_property
    def _kept(self) -> tuple[frozenset[str], frozenset[Pattern], frozenset[str], frozenset[int]]:
        return (
            frozenset(self.methods),
            frozenset(self.patterns),
            frozenset(self.calibrations),
            frozenset(self.seqlens),
        )

    def shows(self, method: Method, pattern: Pattern, calibration: Calibration | None) -> bool:
        """Whether a model pruned in this way is one of this attribution's variants."""
        methods, patterns, calibrations, seqlens = self._kept
        return (
            (not methods or method.name in methods)
            and (not patterns or pattern in patterns)
            and (not calibrations or calibration is None or str(calibration) in calibrations)
            and (not seqlens or calibration is None or calibration.seqlen in seqlens)
        )


class StudySpec(Strict):
    """A grid of models x methods x patterns x allocations x calibrations x seqlens x seeds. Each pruned model and each
    dense model is evaluated on the tasks.

    `seqlens` and `seeds` repeat each calibration set with every window length and seed; if they are empty, each
    calibration set keeps its own. An allocation that is incompatible with a pattern (owl with n:m) is skipped for this
    pattern. `limit`, `newline` and `perplexity` have the same meaning as in `EvaluateSpec`.
    """

    name: str | None = Field(default=None, max_length=MAX_NAME)
    models: tuple[Reference, ...] = Field(min_length=1, max_length=MAX_AXIS)
    methods: tuple[Method, ...] = Field(default=(), max_length=MAX_AXIS)
    patterns: tuple[Pattern, ...] = Field(default=(), max_length=MAX_AXIS)
    allocations: tuple[Allocation, ...] = Field(default=(Uniform(),), max_length=MAX_AXIS)
    calibrations: tuple[Calibration, ...] = Field(default=(), max_length=MAX_AXIS)
    seqlens: tuple[Seqlen, ...] = Field(default=(), max_length=MAX_AXIS)
    tasks: Tasks = ()
    attributions: tuple[StudyAttribution, ...] = Field(default=(), max_length=MAX_ATTRIBUTIONS)
    seeds: tuple[Seed, ...] = Field(default=(), max_length=MAX_AXIS)
    limit: int | None = Field(default=None, ge=1, le=MAX_ROWS)
    newline: Newline = "real"
    perplexity: Perplexity | None = None

    _tasks = field_validator("tasks")(known_tasks)

    @model_validator(mode="before")
    @classmethod
    def _texts_not_too_long(cls, data: Any) -> Any:
        given = data.get("attributions") if isinstance(data, Mapping) else None
        if isinstance(given, list | tuple):
            check_given((each.get("texts") for each in given if isinstance(each, Mapping)), "attributions")
        return data

    @field_validator("models", "methods", "patterns", "allocations", "calibrations", "seqlens", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(values))

    @field_validator("allocations")
    @classmethod
    def _some_allocation(cls, allocations: tuple[Allocation, ...]) -> tuple[Allocation, ...]:
        return allocations or (Uniform(),)

    @property
    def measured(self) -> bool:
        """Whether the study has evaluations, of tasks or of perplexity."""
        return bool(self.tasks) or self.perplexity is not None

    @property
    def draws(self) -> tuple[Calibration, ...]:
        """Every distinct calibration set: each of `calibrations` with every window length and every seed."""
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
        """Every compatible combination of method, pattern and allocation."""
        return tuple(
            (method, pattern, allocation)
            for method in self.methods
            for pattern in self.patterns
            for allocation in self.allocations
            if not (isinstance(allocation, OWL) and isinstance(pattern, NofM))
        )

    # Runs first among the model validators, because the others iterate over combinations.
    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        ways = (len(self.methods), len(self.patterns), len(self.allocations))
        draws = (len(self.calibrations), max(1, len(self.seqlens)), max(1, len(self.seeds)))
        for sizes, what in ((ways, "ways to prune a model"), (draws, "calibration sets, lengths and seeds")):
            if prod(sizes) > MAX_CELLS:
                raise _too_many(f"{' x '.join(map(str, sizes))} {what}")
        variants = sum(
            prod(draws) if method.calibrated or allocation.calibrated else 1 for method, _, allocation in self.ways
        )
        cells = len(self.models) * (1 + 2 * variants + len(self.attributions))
        if cells > MAX_CELLS:
            raise _too_many(f"up to {cells} cells")
        candidates = len(self.attributions) * variants
        if candidates > MAX_CANDIDATES:
            raise validation_error(
                f"{len(self.attributions)} attributions may each compare {variants} pruned models of a model; "
                f"at most {MAX_CANDIDATES} together",
                allowed=f"at most {MAX_CANDIDATES // variants} attributions",
                field="attributions",
                given=len(self.attributions),
            )
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.methods and not self.measured:
            raise _needs("tasks", "a study without methods measures its models on tasks", list(TASKS))
        if self.methods and not self.patterns:
            raise _needs("patterns", "methods are given", ["0.5", "2:4"])
        if self.attributions and not self.methods:
            raise _needs("methods", "an attribution compares a dense model with pruned ones", list(METHODS))
        axes: dict[str, dict[str, None]] = {
            "dense": dict.fromkeys(self.models),
            "methods": dict.fromkeys(method.name for method in self.methods),
            "patterns": _texts(self.patterns),
            "calibrations": _texts(self.calibrations),
            "seqlens": _texts(self.seqlens or (calibration.seqlen for calibration in self.calibrations)),
        }
        for index, attribution in enumerate(self.attributions):
            for field, named in (
                ("dense", (attribution.dense or self.models[0],)),
                ("methods", attribution.methods),
                ("patterns", _texts(attribution.patterns)),
                ("calibrations", attribution.calibrations),
                ("seqlens", _texts(attribution.seqlens)),
            ):
                known = axes[field]
                for name in named:
                    if name not in known:
                        message, place = unknown_name(name, known), f"attributions.{index}.{field}"
                        raise validation_error(message, allowed=list(known), field=place, given=name)
        return self

    @model_validator(mode="after")
    def _allocations_fit(self) -> Self:
        owl = any(isinstance(each, OWL) for each in self.allocations)
        if owl and self.patterns and all(isinstance(pattern, NofM) for pattern in self.patterns):
            given = ", ".join(str(pattern) for pattern in self.patterns)
            raise validation_error(
                f"owl gives each layer a sparsity of its own, but {given} is the same share everywhere; "
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
                raise validation_error(
                    f"{calibration} has a seqlen of its own, but seqlens sets the lengths of every calibration set; "
                    "leave one of them out",
                    allowed="either seqlens or a seqlen for each calibration set",
                    field=f"calibrations.{index}.seqlen",
                    given=calibration.seqlen,
                )
            calibration.check_tokens(max(self.seqlens, default=calibration.seqlen), f"calibrations.{index}.samples")
        return self

    @model_validator(mode="after")
    def _attributions_fit(self) -> Self:
        ways, draws = (self.ways, self.draws) if self.attributions else ((), ())
        for index, attribution in enumerate(self.attributions):
            variants = sum(
                attribution.shows(method, pattern, calibration)
                for method, pattern, allocation in ways
                for calibration in (draws if method.calibrated or allocation.calibrated else (None,))
            )
            if not 1 <= variants <= MAX_VARIANTS:
                raise validation_error(
                    f"an attribution compares 1 to {MAX_VARIANTS} pruned models with the dense one, and this has "
                    f"{variants} of each model; name other methods, patterns, calibrations or seqlens",
                    allowed=f"1 to {MAX_VARIANTS} pruned models",
                    field=f"attributions.{index}",
                    given=None,
                )
        return self


def _needs(field: str, because: str, allowed: list[str]) -> Exception:
    return validation_error(f"needs at least one: {because}", allowed=allowed, field=field, given=[])


def _too_many(what: str) -> Exception:
    return validation_error(f"the grid has {what}; at most {MAX_CELLS} cells", allowed=f"at most {MAX_CELLS} cells")


def _texts(values: Iterable[object]) -> dict[str, None]:
    return dict.fromkeys(map(str, values))
