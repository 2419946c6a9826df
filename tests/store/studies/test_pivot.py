"""Tables of made-up facts against a slow version of the same, and what they say of means."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from prunescope.jobs.documents import Job, JobKind, JobState
from prunescope.store.artefacts.records import Record
from prunescope.store.evaluations.packed import pack
from prunescope.store.evaluations.paired_statistics import compare
from prunescope.store.evaluations.queries import Measured, Paired
from prunescope.store.evaluations.values import Measurement, Pairing
from prunescope.store.studies.facts import Findings
from prunescope.store.studies.pivot import Pivot, PivotCell, pivot
from prunescope.store.studies.table import AXES, Fact, StudyCell, StudyTable, study_table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = ["sst2", "yelp", "reviews"]


def table_of(
    *, seed: int = 0, missing: float = 0.2, models: int = 2, calibrations: int = 3, tasks: list[str] | None = None
) -> StudyTable:
    """Every method and calibration set of some models, a part of it not measured, or measured on other rows."""
    draw = random.Random(seed)
    tasks = TASKS if tasks is None else tasks
    cells: list[StudyCell] = []
    measured: dict[tuple[str, str], Measurement] = {}
    pairings: dict[tuple[str, str, str], Pairing] = {}

    def add(role: Any, model: str, **place: Any) -> str:
        position = len(cells)
        name, state = f"{position:016x}", draw.choice([*JobState]) if draw.random() < missing else JobState.SUCCEEDED
        kind = JobKind.EVALUATE
        cells.append(
            StudyCell(
                position=position, job=f"j{position}", kind=kind, state=state, role=role, model=model, artefact=name,
                **place,
            )
        )  # fmt: skip
        for task in tasks:
            if state == JobState.SUCCEEDED:
                value = draw.randint(20, 100) / 100
                measured[name, task] = Measurement(value, value - 0.1, value + 0.08, 100, 0.5, 0.6)
        return name

    for model in range(models):
        dense = add("dense", f"model-{model}")
        for method in ("magnitude", "wanda"):
            for number in range(calibrations if method == "wanda" else 1):
                calibration = f"set-{number}" if method == "wanda" else None
                pruned = f"p{len(cells)}"
                place = {"method": method, "pattern": "0.5", "calibration": calibration, "pruned": pruned}
                name = add("evaluate", f"model-{model}", **place)
                for task in tasks:
                    if (name, task) in measured and (dense, task) in measured and draw.random() > missing:
                        wrong, right = draw.randint(0, 30), draw.randint(0, 9)
                        found = compare(100, wrong, right)
                        ends = (float(found.low), float(found.high), float(found.p))
                        pairings[name, task, dense] = Pairing(
                            dense, 100, 50, wrong, right, float(found.difference), *ends
                        )
    spec = {"models": [f"model-{model}" for model in range(models)], "tasks": tasks}
    job = Job(id="0", kind=JobKind.STUDY, state=JobState.RUNNING, spec=spec, fingerprint="0" * 64, created_at=NOW)
    study = Record(kind="study", id="0" * 16, job="0", spec=spec, summary={}, created_at=NOW)
    return study_table(study, job, cells, packed(measured, {**pairings, **others(pairings)}))


def packed(
    measured: dict[tuple[str, str], Measurement], pairings: dict[tuple[str, str, str], Pairing]
) -> tuple[list[Measured], list[Paired]]:
    """As the database answers."""
    values: dict[str, dict[str, Measurement]] = defaultdict(dict)
    for (name, task), each in measured.items():
        values[name][task] = each
    beside: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for (name, task, dense), pairing in pairings.items():
        beside[name, dense][task] = pairing[1:]
    return [(name, *pack(each).values()) for name, each in values.items()], [
        (*names, *pack(each).values()) for names, each in beside.items()
    ]


def others(pairings: dict[tuple[str, str, str], Pairing]) -> dict[tuple[str, str, str], Pairing]:
    """Pairings with dense evaluations that are not the study's own: they say nothing here."""
    elsewhere = [(name, task, pairing) for (name, task, _), pairing in pairings.items()][::2]
    return {(name, task, "f" * 16): pairing._replace(newly_wrong=77, p=0.0) for name, task, pairing in elsewhere}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("rows", "columns", "where"),
    [
        ("task", "calibration", {}),
        ("model", "calibration", {"task": ["sst2", "reviews"]}),
        ("method", "group", {}),
        ("calibration", "method", {"model": ["model-1"]}),
        ("seed", "allocation", {"calibration": ["set-0"], "model": ["model-0"]}),
    ],
)
def test_a_table_is_what_going_through_the_facts_gives(
    seed: int, rows: Any, columns: Any, where: dict[str, list[str]]
) -> None:
    table = table_of(seed=seed)
    crossed = pivot(table, rows, columns, where)
    facts = [fact for fact in table.facts if all(fact.label(axis) in labels for axis, labels in where.items())]
    q = adjusted(facts)
    meeting: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        meeting[fact.label(rows), fact.label(columns)].append(fact)
    assert crossed.row_labels == [label for label in table.axes[rows] if any(label == row for row, _ in meeting)]
    assert crossed.column_labels == [label for label in table.axes[columns] if any(label == c for _, c in meeting)]
    assert crossed.tested == len(q) and crossed.surviving == sum(value <= 0.05 for value in q.values())
    for i, row in enumerate(crossed.row_labels):
        means = [fact.dense for fact in facts if fact.label(rows) == row and fact.dense is not None]
        assert crossed.dense[i] == (pytest.approx(fmean(means)) if means else None)
        for j, column in enumerate(crossed.column_labels):
            cell = crossed.cells[i][j]
            if cell is None:
                assert (row, column) not in meeting
            else:
                check(cell, meeting[row, column], q)
    others = [axis for axis in AXES if axis not in {rows, columns, "group"}]
    several = [
        axis for axis in others if any(len({fact.label(axis) for fact in some}) > 1 for some in meeting.values())
    ]
    assert crossed.averaged == several


def place_of(fact: Fact) -> tuple[str, str]:
    return fact.cell.job, fact.task


def adjusted(facts: list[Fact]) -> dict[tuple[str, str], float]:
    """Job and task of the fact -> its q."""
    tested = [fact for fact in facts if fact.pairing is not None]
    if not tested:
        return {}
    values = false_discovery_control([fact.pairing.p for fact in tested if fact.pairing])
    return {place_of(fact): float(value) for fact, value in zip(tested, values, strict=True)}


def check(cell: PivotCell, facts: list[Fact], q: dict[tuple[str, str], float]) -> None:
    done = [fact.measured for fact in facts if fact.measured is not None]
    pairs = [fact.pairing for fact in facts if fact.pairing is not None]
    differences = [fact.difference for fact in facts if fact.difference is not None]
    apart = len({fact.task for fact in facts}) == len(facts)
    assert (cell.facts, cell.done) == (len(facts), len(done))
    assert cell.failed == sum(fact.cell.state in {JobState.FAILED, JobState.CANCELLED} for fact in facts)
    assert cell.value == (pytest.approx(fmean(each.value for each in done)) if done else None)
    assert cell.difference == (pytest.approx(fmean(differences)) if differences else None)
    assert cell.survivors == sum(q.get(place_of(fact), 1) <= 0.05 for fact in facts)
    assert cell.rows == (100 * len(done) if apart and done else None)
    paired = apart and bool(pairs) and len(pairs) == len(done)
    assert cell.newly_wrong == (sum(pair.newly_wrong for pair in pairs) if paired else None)
    assert cell.newly_right == (sum(pair.newly_right for pair in pairs) if paired else None)
    assert (cell.interval is not None) == (apart and bool(done))
    assert (cell.difference_interval is not None) == paired
    if cell.interval is None:
        near = all(each.low is not None and each.high is not None and each.low <= 0.5 <= each.high for each in done)
        assert cell.at_chance == (bool(done) and near)
    else:
        assert cell.at_chance == (cell.interval[0] <= 0.5 <= cell.interval[1])
    assert (cell.only is None) == (len(facts) > 1)
    if cell.only is not None:
        assert cell.only == facts[0]
        assert cell.p == (pairs[0].p if pairs else None)
        assert cell.q == (pytest.approx(q[place_of(facts[0])]) if pairs else None)
        if pairs:
            assert cell.difference_interval == pytest.approx(pairs[0].interval)
        if done:
            assert cell.interval == pytest.approx(done[0].interval)


def test_the_interval_of_a_mean_is_of_independent_measurements() -> None:
    (over_tasks, *_), *_ = pivot(table_of(missing=0), "model", "method", {"calibration": ["none", "set-1"]}).cells
    assert over_tasks is not None and over_tasks.interval is not None and over_tasks.value is not None
    low, high = over_tasks.interval
    assert over_tasks.value - low == pytest.approx(0.1 / 3**0.5)
    assert high - over_tasks.value == pytest.approx(0.08 / 3**0.5)
    (over_sets, *_), *_ = pivot(table_of(missing=0), "task", "model", {"method": ["wanda"]}).cells
    assert over_sets is not None and over_sets.facts == 3
    assert over_sets.interval is None and over_sets.difference_interval is None, "the same rows, three times"


def test_the_interval_of_a_mean_covers_as_it_says() -> None:
    """The mean difference on three tasks of 60 rows each, drawn 400 times."""
    draw = np.random.default_rng(0)
    shares = np.array([[0.1, 0.02, 0.88], [0.25, 0.1, 0.65], [0.05, 0.05, 0.9]])
    true = float((shares[:, 1] - shares[:, 0]).mean())
    held = 0
    table = table_of(missing=0, models=1, calibrations=1)
    (cell,) = [cell for cell in table.evaluated if cell.method == "wanda"]
    dense = table.dense_of[cell.artefact]
    same = Measurement(0.5, 0.4, 0.6, 60, 0.5, 0.6)
    for _ in range(400):
        wrong, right, _ = np.stack([draw.multinomial(60, share) for share in shares], axis=1)
        found = compare(np.full(3, 60), wrong, right)
        pairs = {}
        for i, task in enumerate(TASKS):
            ends = (found.difference[i], found.low[i], found.high[i], found.p[i])
            pairs[cell.artefact, task, dense] = Pairing(dense, 60, 0, int(wrong[i]), int(right[i]), *ends)
        measured = {(cell.artefact, task): same for task in TASKS}
        drawn = replace(table, findings=Findings(*packed(measured, pairs), TASKS, table.dense_of))
        ((mean,),) = pivot(drawn, "model", "method", {"method": ["wanda"]}).cells
        assert mean is not None and mean.difference_interval is not None
        low, high = mean.difference_interval
        held += low <= true <= high
    assert 0.92 < held / 400 < 0.99


def test_a_study_without_tasks_is_an_empty_table() -> None:
    empty: Pivot = pivot(table_of(tasks=[]), "task", "calibration")
    assert (empty.row_labels, empty.cells, empty.dense, empty.averaged, empty.tested) == ([], [], [], [], 0)
