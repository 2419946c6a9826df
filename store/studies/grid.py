"""Expands a study's grid into cells: its jobs, their order and their dependencies.

For every model there is an evaluation of the dense model. For every combination of method, pattern, allocation,
calibration set, window length and seed there is a pruned model and its evaluation. Every attribution compares the model
with its pruned models.

Combinations that give the same pruned model share one job: a method without calibration gives one pruned model for all
calibration sets, and options that have no effect for a pattern (such as RIA's n:m order for an unstructured one) are
reset to their defaults.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from prunescope.jobs.bounds import DEFAULT_SAMPLES
from prunescope.jobs.documents import JobKind, artefact_id
from prunescope.jobs.references import PRUNED
from prunescope.jobs.specs import (
    AttributeSpec,
    Calibration,
    EvaluateSpec,
    Method,
    NofM,
    Pattern,
    PruneSpec,
    Spec,
    StudyAttribution,
    StudySpec,
    Unstructured,
)
from prunescope.jobs.specs.prune import option_label
from prunescope.jobs.vocabulary import RIA

Fingerprint = Callable[[JobKind, Spec], str]


@dataclass(frozen=True)
class Cell:
    """One job of a study. `after` are the positions of the cells that must succeed before it; `coordinates` is its
    position in the grid.

    `coordinates` are the role ("dense", "prune", "evaluate", "attribute"); the labels model, method, pattern,
    calibration, seqlen (None: the model's context length), allocation and seed, each None if it does not apply to the
    cell; sparsity (the share of weights that the pattern removes); and pruned (the pruned model's id).
    """

    kind: JobKind
    spec: Spec
    fingerprint: str
    coordinates: dict[str, Any]
    after: tuple[int, ...] = ()


@dataclass
class _Grid:
    fingerprint: Fingerprint
    cells: list[Cell] = field(default_factory=list)

    def add(self, kind: JobKind, spec: Spec, coordinates: dict[str, Any], after: tuple[int, ...] = ()) -> int:
        self.cells.append(Cell(kind, spec, self.fingerprint(kind, spec), coordinates, after))
        return len(self.cells) - 1


def plan(spec: StudySpec, fingerprint: Fingerprint) -> list[Cell]:
    """All cells of a study, each after the cells that it waits for. `fingerprint(kind, spec)` returns the fingerprint
    of a cell's spec."""
    grid = _Grid(fingerprint)
    draws = spec.draws
    for model in spec.models:
        if spec.measured:
            grid.add(JobKind.EVALUATE, _evaluation(spec, model), _coordinates("dense", model))
        pruned: list[tuple[Method, PruneSpec, int]] = []
        for method, prune in _prune_specs(spec, model, draws):
            coordinates = _pruned_coordinates(method, prune)
            position = grid.add(JobKind.PRUNE, prune, coordinates)
            name = artefact_id(grid.cells[position].fingerprint)
            coordinates["pruned"] = name
            pruned.append((method, prune, position))
            if spec.measured:
                evaluation = _evaluation(spec, f"{PRUNED}{name}")
                grid.add(JobKind.EVALUATE, evaluation, {**coordinates, "role": "evaluate"}, after=(position,))
        for attribution in spec.attributions:
            if attribution.dense in {None, model}:
                shown = tuple(
                    position
                    for method, prune, position in pruned
                    if attribution.shows(method, prune.pattern, prune.calibration)
                )
                # Two combinations may give the same pruned model, which is one variant.
                variants = dict.fromkeys(f"{PRUNED}{grid.cells[position].coordinates['pruned']}" for position in shown)
                attribute = _attribution(attribution, model, tuple(variants))
                grid.add(JobKind.ATTRIBUTE, attribute, _coordinates("attribute", model), after=shown)
    return grid.cells


def calibration_label(calibration: Calibration) -> str:
    """The name of the data set or file, with mode, BOS and number of windows if they differ from the defaults. The
    window length is not included, since it is an axis of its own."""
    is_default = calibration.samples in {None, DEFAULT_SAMPLES}
    return str(calibration) if is_default else f"{calibration} ({calibration.samples})"


def _prune_specs(spec: StudySpec, model: str, draws: Sequence[Calibration]) -> Iterator[tuple[Method, PruneSpec]]:
    """Yield (method with the options as given, spec with only the options that have an effect) for every prune job."""
    for method, pattern, allocation in spec.ways:
        calibrated = method.calibrated or allocation.calibrated
        for calibration in draws if calibrated else (None,):
            yield (
                method,
                PruneSpec(
                    model=model,
                    method=_without_unused_options(method, pattern),
                    pattern=pattern,
                    allocation=allocation,
                    calibration=calibration,
                ),
            )


def _without_unused_options(method: Method, pattern: Pattern) -> Method:
    """The method with the options that have no effect for this pattern reset to their defaults."""
    if not isinstance(method, RIA):
        return method
    unused = ("within",) if isinstance(pattern, NofM) else ("permutation", "subgroups")
    return RIA(**method.model_dump(exclude={*unused}))


def _evaluation(spec: StudySpec, model: str) -> EvaluateSpec:
    # With `limit`, every cell is evaluated on the same rows, so that cells can be compared row by row.
    return EvaluateSpec(
        model=model, tasks=spec.tasks, limit=spec.limit, newline=spec.newline, perplexity=spec.perplexity
    )


def _attribution(attribution: StudyAttribution, model: str, pruned: tuple[str, ...]) -> AttributeSpec:
    reading = attribution.model_dump(mode="json", exclude={"methods", "patterns", "calibrations", "seqlens"})
    document = {**reading, "dense": model, "pruned": pruned}
    return AttributeSpec.model_validate(document)


def _coordinates(role: str, model: str) -> dict[str, Any]:
    absent = ("method", "pattern", "calibration", "seqlen", "allocation", "seed", "sparsity", "pruned")
    return {"role": role, "model": model, **dict.fromkeys(absent)}


def _pruned_coordinates(method: Method, prune: PruneSpec) -> dict[str, Any]:
    calibration = prune.calibration
    return {
        **_coordinates("prune", prune.model),
        "method": option_label(method),
        "pattern": str(prune.pattern),
        "calibration": calibration and calibration_label(calibration),
        "seqlen": calibration and calibration.seqlen,
        "allocation": option_label(prune.allocation),
        "seed": calibration and calibration.seed,
        "sparsity": _sparsity(prune.pattern),
    }


def _sparsity(pattern: Pattern) -> float:
    match pattern:
        case Unstructured(sparsity=sparsity):
            return sparsity
        case NofM(n=n, m=m):
            return 1 - n / m
