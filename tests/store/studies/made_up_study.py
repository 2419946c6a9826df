"""A study of any size that nobody ran: real cells, made-up numbers, written straight into the database.

The default is what the issue asks for: 3 methods x 9 calibration sets x 14 models x 24 tasks x 2 sparsities, 18,144
measurements on 756 pruned models.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import insert, update

from prunescope.jobs.documents import JobKind, JobState, artefact_id
from prunescope.jobs.specs import Spec, StudySpec
from prunescope.jobs.vocabulary import CALIBRATION_SETS, TASKS
from prunescope.store.artefacts.records import RESULT_OF, rows_of_models
from prunescope.store.evaluations.packed import PAIRED, pack
from prunescope.store.evaluations.paired_statistics import compare
from prunescope.store.evaluations.values import ACCURACY, Measurement
from prunescope.store.evaluations.writing import record_summary
from prunescope.store.jobs.progress import refresh_study
from prunescope.store.jobs.store import utc_now
from prunescope.store.studies.grid import Cell, plan
from prunescope.store.submission import Stores
from prunescope.store.tables import jobs, measurements, outcomes, pairings, record_models, records, uses

MODELS = tuple(f"{family}-{size}" for family in ("made/opt", "made/llama") for size in (1, 3, 7, 13, 30, 66, 70))
METHODS = ("wanda", "sparsegpt", "ria")
PATTERNS = ("0.5", "0.6", "2:4", "4:8")
_KEPT = (records, record_models, uses, measurements, pairings, outcomes)
NAMES = (*TASKS, *(f"made-up-{number}" for number in range(24)))[:24]


@dataclass(frozen=True)
class MadeUpStudy:
    """How large it is; `failed` of its pruned models came to nothing, and their evaluations with them."""

    models: int = 14
    methods: int = 3
    calibrations: int = 9
    patterns: int = 2
    tasks: int = 24
    rows: int = 400
    failed: int = 0
    seed: int = 0

    @property
    def spec(self) -> StudySpec:
        """Its spec, on a task that is known; the other ones' names are made up too."""
        calibrations = [{"dataset": name} for name in CALIBRATION_SETS[: self.calibrations]]
        return StudySpec.model_validate(
            {
                "name": "Made up",
                "models": MODELS[: self.models],
                "methods": METHODS[: self.methods],
                "patterns": PATTERNS[: self.patterns],
                "calibrations": calibrations,
                "tasks": [NAMES[0]],
            }
        )


def make_up_study(stores: Stores, size: MadeUpStudy | None = None) -> str:
    """Write it, and answer with the study's id."""
    size = size or MadeUpStudy()
    tasks = [*NAMES[: size.tasks]]
    cells = plan(size.spec, lambda kind, spec: _mark(kind, spec, size))
    mark = _mark(JobKind.STUDY, size.spec, size)
    study, created = stores.studies.submit(size.spec, mark, cells)
    assert created, "it is there already"
    made = stores.studies.cell_jobs(study.id)
    now = utc_now()
    lost = _lost(cells, size.failed)
    numbers = _Numbers(cells, size)
    with stores.database.exclusive() as connection:
        whole = {**size.spec.model_dump(mode="json"), "tasks": tasks}
        connection.execute(update(jobs).where(jobs.c.id == study.id).values(spec=whole))
        connection.execute(update(records).where(records.c.id == artefact_id(mark)).values(spec=whole))
        kept: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _KEPT}
        for position, (job, cell) in enumerate(zip(made, cells, strict=True)):
            spec = cell.spec.model_dump(mode="json")
            if cell.kind == JobKind.EVALUATE:
                spec["tasks"] = tasks
            ended: dict[str, Any] = {"spec": spec, "started_at": now, "finished_at": now, "attempts": 1}
            if position in lost:
                error = {"detail": "made up to fail", "code": "made-up", "status": 500}
                connection.execute(
                    update(jobs).where(jobs.c.id == job).values(state=JobState.FAILED, error=error, **ended)
                )
                continue
            name, kind = artefact_id(cell.fingerprint), RESULT_OF[cell.kind]
            result = {kind: f"pruned:{name}" if kind == "model" else name}
            connection.execute(
                update(jobs).where(jobs.c.id == job).values(state=JobState.SUCCEEDED, result=result, **ended)
            )
            summary = _model_summary(cell) if kind == "model" else numbers.summary(tasks)
            kept["records"].append(
                {"kind": kind, "id": name, "job": job, "spec": spec, "summary": summary, "created_at": now}
            )
            kept["record_models"] += rows_of_models(kind, name, spec)
            if kind == "evaluation":
                kept["measurements"].append(numbers.measurement(position, tasks))
                base = cell.coordinates["model"] if cell.coordinates["pruned"] else None
                of = {"evaluation": name, "model": spec["model"], "base": base, "protocol": "made up"}
                kept["outcomes"] += [
                    {**of, "task": task, "rows_hash": f"made up {task}", "correct": b"\x00"} for task in tasks
                ]
                if cell.coordinates["pruned"]:
                    used = {"used_kind": "model", "used_id": cell.coordinates["pruned"]}
                    kept["uses"].append({"kind": kind, "id": name, **used})
                    kept["pairings"].append(numbers.pairing(position, tasks))
        for table in _KEPT:
            connection.execute(insert(table), kept[table.name])
        refresh_study(connection, study.id, now)
    return artefact_id(mark)


def _mark(kind: JobKind, spec: Spec, size: MadeUpStudy) -> str:
    return hashlib.sha256(f"{size} {kind} {spec.model_dump_json()}".encode()).hexdigest()


def _lost(cells: Sequence[Cell], failed: int) -> set[int]:
    pruned = [position for position, cell in enumerate(cells) if cell.kind == JobKind.PRUNE][:failed]
    return {position for each in pruned for position in (each, each + 1)}


def _model_summary(cell: Cell) -> dict[str, Any]:
    place = cell.coordinates
    label = f"{place['method']} · {place['calibration']} · {place['pattern']}"
    return {"label": label, "method": place["method"], "pattern": place["pattern"], "sparsity": place["sparsity"]}


class _Numbers:
    """Made-up counts of each evaluation [cells, tasks], and the statistics of all of them."""

    def __init__(self, cells: Sequence[Cell], size: MadeUpStudy) -> None:
        random = np.random.default_rng(size.seed)
        self.rows = size.rows
        self.names = [artefact_id(cell.fingerprint) for cell in cells]
        dense = [position for position, cell in enumerate(cells) if cell.coordinates["role"] == "dense"]
        model = {cells[position].coordinates["model"]: position for position in dense}
        self.dense = [model[cell.coordinates["model"]] for cell in cells]
        shape = (len(cells), size.tasks)
        ease = random.uniform(0.5, 0.9, size.tasks)
        right = random.binomial(size.rows, np.broadcast_to(ease, shape))
        before = right[self.dense]
        hurt = random.uniform(0, 0.35, (len(cells), 1))
        self.wrong = random.binomial(before, hurt)
        self.mended = random.binomial(size.rows - before, 0.08)
        pruned = np.array([cell.coordinates["pruned"] is not None for cell in cells])[:, None]
        self.right = np.where(pruned, before - self.wrong + self.mended, right)
        self.both = before - self.wrong
        self.found = compare(np.full(shape, size.rows), self.wrong, self.mended)
        share = self.right / size.rows
        half = 1.96 * np.sqrt(share * (1 - share) / size.rows)
        self.low, self.high = np.maximum(0, share - half), np.minimum(1, share + half)

    @staticmethod
    def summary(tasks: Sequence[str]) -> dict[str, Any]:
        how = {"version": "1", "prompt_hash": "made up"}
        return record_summary({"tasks": dict.fromkeys(tasks, how), "seconds": 1.0})

    def measurement(self, position: int, tasks: Sequence[str]) -> dict[str, Any]:
        found = {
            task: Measurement(
                value=float(self.right[position, place] / self.rows),
                low=float(self.low[position, place]),
                high=float(self.high[position, place]),
                rows=self.rows,
                chance=0.5,
                majority=0.55,
            )
            for place, task in enumerate(tasks)
        }
        return {"evaluation": self.names[position], "measure": ACCURACY, **pack(found)}

    def pairing(self, position: int, tasks: Sequence[str]) -> dict[str, Any]:
        columns = {
            "rows": np.full(len(tasks), self.rows),
            "both_right": self.both[position],
            "newly_wrong": self.wrong[position],
            "newly_right": self.mended[position],
            "difference": self.found.difference[position],
            "low": self.found.low[position],
            "high": self.found.high[position],
            "p": self.found.p[position],
        }
        found = {task: [float(columns[name][place]) for name in PAIRED] for place, task in enumerate(tasks)}
        beside = self.names[self.dense[position]]
        return {"evaluation": self.names[position], "dense_evaluation": beside, "measure": ACCURACY, **pack(found)}
