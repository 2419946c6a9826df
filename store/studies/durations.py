"""Estimates how long a job takes from the jobs that have succeeded.

Jobs are similar if they have the same kind and dense model (a pruned model takes as long as its dense model). Jobs that
also agree in method and samples, in tasks and rows, or in texts, are expected to take the same time. Otherwise the time
is scaled by the amount of work: calibration tokens of a prune job, rows of an evaluation or an explanation, texts times
models of an attribution, tokens times models of a corpus. The estimate is the median over the similar jobs with the
nearest amount of work. The median is robust against outliers, such as a worker's first job, which also loads the model.

If no job of the kind has run with the dense model, the times of other models are scaled by the sizes of their weights.
If none has run with any model, jobs of other kinds are compared by the tokens that go forward through a model
(`PASSES`), times the size of its weights: that is right within a few times.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, log
from statistics import median
from typing import Any, Literal

from sqlalchemy import Row, select

from prunescope.jobs.documents import JobKind, JobState, artefact_id
from prunescope.jobs.references import PRUNED, references_of
from prunescope.store.artefacts.records import Results
from prunescope.store.database import Database
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.studies.grid import Cell
from prunescope.store.tables import jobs

MAX_RUNS = 2000
"""Maximum number of earlier jobs that are read, newest first."""

KINDS = tuple(kind for kind in JobKind if kind is not JobKind.STUDY)
"""The kinds of jobs that do work themselves."""

MAX_ALIKE = 20
"""Maximum number of similar jobs that enter the median, newest first."""

WINDOW = 2048
"""Assumed tokens of a window whose length is the model's context length, which is not known here; it is the maximum."""

PASSES = {
    JobKind.PRUNE: 2,
    JobKind.EVALUATE: 200,
    JobKind.ATTRIBUTE: 1300,
    JobKind.EXPLAIN: 2000,
    JobKind.CORPUS: 1.2,
}
"""Rough numbers of tokens that go forward through a model, for each unit of a kind's amount of work. They are times of
jobs of SmolLM2-135M-Instruct on one thread, as multiples of the time that a token takes in one forward pass."""

Basis = Literal["same model", "other models", "other kinds"]
Spec = Mapping[str, Any]
Likeness = tuple[Any, ...]
Run = Row[Any, Any, Any, Any, Any]


@dataclass(frozen=True)
class _Work:
    """Keys by which similar jobs are found. Jobs with equal `same` take the same time. `alike` are keys of less and
    less similar jobs, whose times are scaled by the ratio of their `amount` of work (None: unknown). `base` is the
    dense model."""

    base: str
    same: Likeness
    alike: tuple[Likeness, ...]
    amount: float | None


@dataclass(frozen=True)
class Expected:
    """The estimated duration of a job, and of which models or kinds the jobs were from which it was estimated."""

    seconds: float
    basis: Basis = "same model"


class PastJobs:
    """The durations of succeeded jobs, grouped by similarity. `cells` are the cells that `expected` will be called
    with."""

    def __init__(
        self,
        database: Database,
        results: Results,
        measurements: Measurements,
        cells: Iterable[Cell],
        size: Callable[[str], float | None],
    ) -> None:
        """`size` returns the size of a dense model's weights, None if it is unknown."""
        self._size = cache(size)
        rows = _succeeded(database)
        self._made_from = _bases(results, rows, cells)
        names = {artefact_id(row.fingerprint): row for row in rows if row.kind == JobKind.EVALUATE}
        measured: dict[str, dict[str, int]] = defaultdict(dict)
        for (name, task), found in measurements.values_of(names).items():
            if found.rows is not None:
                measured[name][task] = found.rows
        self._full = {
            task: number
            for name, numbers in measured.items()
            for task, number in numbers.items()
            if number < (names[name].spec["limit"] or inf)
        }
        self._same: dict[Likeness, list[float]] = defaultdict(list)
        self._alike: dict[Likeness, list[tuple[float, float]]] = defaultdict(list)
        for row in rows:
            work = self._work(row.kind, row.spec, measured.get(artefact_id(row.fingerprint)))
            seconds = (row.finished_at - row.started_at).total_seconds()
            self._same[work.same].append(seconds)
            for likeness in work.alike:
                if work.amount is not None:
                    self._alike[likeness].append((work.amount, seconds))
            if (sized := self._sized(work)) is not None:
                self._alike[(row.kind,)].append((sized, seconds))
                self._alike[()].append((PASSES[row.kind] * sized, seconds))

    def expected(self, cell: Cell) -> Expected | None:
        """The estimated duration of a cell; None if no similar job has succeeded."""
        work = self._work(cell.kind, cell.spec.model_dump(mode="json"), None)
        if times := self._same.get(work.same):
            return Expected(median(times[:MAX_ALIKE]))
        if work.amount is None:
            return None
        for runs in filter(None, map(self._alike.get, work.alike)):
            return Expected(_scaled(runs, work.amount))
        if (sized := self._sized(work)) is None:
            return None
        if of_kind := self._alike.get((cell.kind,)):
            return Expected(_scaled(of_kind, sized), "other models")
        if of_any := self._alike.get(()):
            return Expected(_scaled(of_any, PASSES[cell.kind] * sized), "other kinds")
        return None

    def _sized(self, work: _Work) -> float | None:
        """The amount of work times the size of the model, by which jobs of different models compare."""
        size = None if work.amount is None else self._size(work.base)
        return size * work.amount if size is not None and work.amount is not None else None

    def _work(self, kind: str, spec: Spec, rows: Mapping[str, int] | None) -> _Work:
        match kind:
            case JobKind.PRUNE:
                return self._prune(spec)
            case JobKind.EVALUATE:
                return self._evaluate(spec, rows)
            case JobKind.ATTRIBUTE:
                return self._attribute(spec)
            case JobKind.EXPLAIN:
                return self._explain(spec)
            case _:
                return self._corpus(spec)

    def _prune(self, spec: Spec) -> _Work:
        base, method = self._dense_ancestor(spec["model"]), spec["method"]["name"]
        allocation, calibration = repr(spec.get("allocation")), spec["calibration"]
        if calibration is None:
            return _Work(base, ("prune", base, method), (), None)
        samples, seqlen = calibration["samples"], calibration["seqlen"]
        return _Work(
            base,
            ("prune", base, method, allocation, samples, seqlen),
            (("prune", base, method, allocation), ("prune", base, method), ("prune", base)),
            samples and samples * (seqlen or WINDOW),
        )

    def _evaluate(self, spec: Spec, rows: Mapping[str, int] | None) -> _Work:
        base, tasks, limit = self._dense_ancestor(spec["model"]), spec["tasks"], spec["limit"]
        if perplexity := spec.get("perplexity"):  # windows and rows have no common unit of work
            return _Work(base, ("evaluate", base, *tasks, limit, repr(perplexity)), (), None)
        numbers = [rows.get(task) if rows is not None else self._expected_rows(task, limit) for task in tasks]
        known = [number for number in numbers if number]
        return _Work(
            base,
            ("evaluate", base, *tasks, limit),
            (("evaluate", base, *tasks), ("evaluate", base)),
            sum(known) if known and len(known) == len(tasks) else None,
        )

    def _attribute(self, spec: Spec) -> _Work:
        count = _texts(spec["texts"])
        base, source, models = self._dense_ancestor(spec["dense"]), spec["words"]["source"], 1 + len(spec["pruned"])
        extent = (spec["permutations"], repr(spec["layers"]))
        return _Work(
            base,
            ("attribute", base, source, *extent, count, models),
            (("attribute", base, source), ("attribute", base)),
            count * models,
        )

    def _explain(self, spec: Spec) -> _Work:
        base, source, rows = (
            self._dense_ancestor(spec["dense"]),
            spec["task"] or repr(spec["perplexity"]),
            spec["limit"],
        )
        extent = (len(spec.get("neurons", ())), spec.get("steps"), spec.get("draws"), spec.get("heads"))
        return _Work(
            base,
            ("explain", base, source, *extent, rows),
            (("explain", base, source, *extent), ("explain", base, source), ("explain", base)),
            rows,
        )

    def _corpus(self, spec: Spec) -> _Work:
        base, models, tokens = self._dense_ancestor(spec["models"][0]), len(spec["models"]), spec["tokens"]
        return _Work(
            base,
            ("corpus", base, spec["dataset"], repr(spec["layers"]), spec["writes"], models, tokens),
            (("corpus", base, spec["dataset"]), ("corpus", base)),
            tokens * models,
        )

    def _dense_ancestor(self, reference: str) -> str:
        """The dense model that `reference` was pruned from, through any number of pruned models; `reference` itself if
        it is dense. If a pruned model in between is unknown, the reference of that model."""
        seen: set[str] = set()
        while reference.startswith(PRUNED) and reference not in seen:
            seen.add(reference)
            reference = self._made_from.get(reference.removeprefix(PRUNED), reference)
        return reference

    def _expected_rows(self, task: str, limit: int | None) -> int | None:
        """The number of rows that an evaluation of a task uses: `limit`, or all rows of the task if these are known
        from an earlier evaluation and fewer. None if neither is known."""
        full = self._full.get(task)
        return limit if full is None else min(full, limit or full)


def _succeeded(database: Database) -> Sequence[Run]:
    """Jobs that succeeded at their first attempt, so that they ran from `started_at` to `finished_at`."""
    query = (
        select(jobs.c.kind, jobs.c.spec, jobs.c.fingerprint, jobs.c.started_at, jobs.c.finished_at)
        .where(jobs.c.state == JobState.SUCCEEDED, jobs.c.kind.in_(KINDS), jobs.c.attempts == 1)
        .order_by(jobs.c.finished_at.desc())
        .limit(MAX_RUNS)
    )
    with database.reading() as connection:
        return connection.execute(query).all()


def _bases(results: Results, rows: Sequence[Run], cells: Iterable[Cell]) -> dict[str, str]:
    """Id of a pruned model -> reference of the model it is pruned from: for cells to be run, for prune jobs among
    `rows`, and for stored models that either of them names."""
    asked = [(artefact_id(cell.fingerprint), cell.kind, cell.spec.model_dump(mode="json")) for cell in cells]
    asked += [(artefact_id(row.fingerprint), row.kind, row.spec) for row in rows]
    found = {name: spec["model"] for name, kind, spec in asked if kind == JobKind.PRUNE}
    named = {references_of(spec)[0] for _, _, spec in asked}
    missing = {name.removeprefix(PRUNED) for name in named if name.startswith(PRUNED)} - found.keys()
    return found | {name: record.spec["model"] for name, record in results.many("model", missing).items()}


def _scaled(runs: Sequence[tuple[float, float]], amount: float) -> float:
    """The median time of the runs (amount, seconds) with the nearest amount of work, scaled to `amount`."""
    nearest = min((done for done, _ in runs), key=lambda done: abs(log(done / amount)))
    return median([seconds for done, seconds in runs if done == nearest][:MAX_ALIKE]) * amount / nearest


def _texts(texts: Mapping[str, Any] | Sequence[Any]) -> int:
    """The number of texts in an attribution's spec: chosen rows, drawn rows, or supplied texts."""
    match texts:
        case {"indices": rows}:
            return len(rows)
        case {"count": count}:
            return int(count)
        case _:
            return len(texts)
