"""A study's grid as cells: which jobs it takes, in which order, and which of them wait for which.

For every model: its dense evaluation; for every method, pattern, calibration set and seed a pruned model and its
evaluation; for every attribution the model's pruned models beside it. A method that looks at no text gives one pruned
model, whatever the calibration sets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.documents import JobKind, artefact_id
from jobs.references import PRUNED
from jobs.specs import (
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

Fingerprint = Callable[[JobKind, Spec], str]


@dataclass(frozen=True)
class Cell:
    """One job of a study: its spec, the positions of the cells that must have succeeded before it, and where it stands
    in the grid.

    `coordinates`: role ("dense", "prune", "evaluate", "attribute") and the labels model, method, pattern, calibration,
    seed (None where the cell has none), sparsity (the share that goes), pruned (the pruned model's id).
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
    """All cells, each after those that it waits for. `fingerprint` knows the contents of what the specs name."""
    grid = _Grid(fingerprint)
    for model in spec.models:
        if spec.tasks:
            grid.add(JobKind.EVALUATE, _evaluation(spec, model), _coordinates("dense", model))
        pruned: list[int] = []
        for prune in _prune_specs(spec, model):
            coordinates = _coordinates("prune", model, prune)
            position = grid.add(JobKind.PRUNE, prune, coordinates)
            name = artefact_id(grid.cells[position].fingerprint)
            coordinates["pruned"] = name
            pruned.append(position)
            if spec.tasks:
                evaluation = _evaluation(spec, f"{PRUNED}{name}")
                grid.add(JobKind.EVALUATE, evaluation, {**coordinates, "role": "evaluate"}, after=(position,))
        for attribution in spec.attributions:
            if attribution.dense in {None, model}:
                variants = tuple(f"{PRUNED}{grid.cells[position].coordinates['pruned']}" for position in pruned)
                attribute = _attribution(attribution, model, variants)
                grid.add(JobKind.ATTRIBUTE, attribute, _coordinates("attribute", model), after=tuple(pruned))
    return grid.cells


def method_label(method: Method) -> str:
    """The method's name, with the options that differ from its defaults."""
    options = method.model_dump(exclude={"name"}, exclude_defaults=True)
    if not options:
        return method.name
    return f"{method.name} ({', '.join(f'{key}={value}' for key, value in options.items())})"


def calibration_label(calibration: Calibration | None) -> str | None:
    """The data set's name or the file's, with what differs from the usual mode, number and length of windows."""
    if calibration is None:
        return None
    label = str(calibration)
    extent = calibration.model_dump(include={"samples", "seqlen"}, exclude_none=True)
    if extent in ({}, {"samples": 128}):
        return label
    return f"{label} ({' x '.join(str(number) for number in extent.values())})"


def _prune_specs(spec: StudySpec, model: str) -> Iterator[PruneSpec]:
    for method in spec.methods:
        for pattern in spec.patterns:
            if not method.calibrated:
                yield PruneSpec(model=model, method=method, pattern=pattern)
                continue
            for calibration in spec.calibrations:
                for seed in spec.seeds or (calibration.seed,):
                    drawn = calibration.model_copy(update={"seed": seed})
                    yield PruneSpec(model=model, method=method, pattern=pattern, calibration=drawn)


def _evaluation(spec: StudySpec, model: str) -> EvaluateSpec:
    # The rows of a limited evaluation are the same for every cell, so that cells can be compared row by row.
    return EvaluateSpec(model=model, tasks=spec.tasks, limit=spec.limit)


def _attribution(attribution: StudyAttribution, model: str, pruned: tuple[str, ...]) -> AttributeSpec:
    document = {**attribution.model_dump(mode="json"), "dense": model, "pruned": pruned}
    return AttributeSpec.model_validate(document)


def _coordinates(role: str, model: str, prune: PruneSpec | None = None) -> dict[str, Any]:
    if prune is None:
        absent = ("method", "pattern", "calibration", "seed", "sparsity", "pruned")
        return {"role": role, "model": model, **dict.fromkeys(absent)}
    return {
        "role": role,
        "model": model,
        "method": method_label(prune.method),
        "pattern": str(prune.pattern),
        "calibration": calibration_label(prune.calibration),
        "seed": None if prune.calibration is None else prune.calibration.seed,
        "sparsity": _sparsity(prune.pattern),
        "pruned": None,
    }


def _sparsity(pattern: Pattern) -> float:
    match pattern:
        case Unstructured(sparsity=sparsity):
            return sparsity
        case NofM(n=n, m=m):
            return 1 - n / m
