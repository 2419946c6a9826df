"""AUC, prior shift and adjusted accuracy against every pair of rows, every assignment of labels, and simulations."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from prunescope.store.evaluations.labels import Z95, adjusted_accuracy, auc, label_values
from prunescope.store.evaluations.packed import pack_labels, unpack_labels
from prunescope.store.evaluations.values import LabelShare, LabelValues, prior_change

LABELS = ["no", "yes", "maybe", "never"]


def examples_of(scores: NDArray[Any], answers: NDArray[Any]) -> list[dict[str, Any]]:
    labels = [f" {label}" for label in LABELS[: scores.shape[1]]]
    return [
        {"scores": row.tolist(), "answer": int(answer), "chosen": int(row.argmax()), "choices": labels}
        for row, answer in zip(scores, answers, strict=True)
    ]


@st.composite
def scored(draw: st.DrawFn, max_labels: int = 4, max_rows: int = 9) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores that are often equal, and answers of at least two labels."""
    labels, rows = draw(st.integers(2, max_labels)), draw(st.integers(2, max_rows))
    numbers = st.integers(-4, 4).map(lambda number: number / 2)
    scores = draw(st.lists(st.lists(numbers, min_size=labels, max_size=labels), min_size=rows, max_size=rows))
    answers = draw(st.lists(st.integers(0, labels - 1), min_size=rows, max_size=rows))
    assume(len(set(answers)) > 1)
    return np.array(scores), np.array(answers)


def slow_auc(scores: NDArray[Any], answers: NDArray[Any]) -> float:
    found = []
    for label in sorted(set(answers.tolist())):
        margins = [row[label] - max(x for i, x in enumerate(row) if i != label) for row in scores.tolist()]
        wins = [
            1.0 if mine > other else 0.5 if mine == other else 0.0
            for mine, is_it in zip(margins, answers == label, strict=True)
            if is_it
            for other, was_it in zip(margins, answers == label, strict=True)
            if not was_it
        ]
        found.append(sum(wins) / len(wins))
    return sum(found) / len(found)


@settings(deadline=None)
@given(scored())
def test_the_auc_is_the_share_of_pairs_in_the_right_order(given: tuple[NDArray[Any], NDArray[Any]]) -> None:
    value, interval = auc(*given)
    assert value == pytest.approx(slow_auc(*given))
    if interval:
        assert 0 <= interval[0] <= value <= interval[1] <= 1


@settings(deadline=None)
@given(scored(max_labels=2), st.floats(-20, 20))
def test_no_constant_changes_the_auc_or_the_adjusted_accuracy_of_two_labels(
    given: tuple[NDArray[Any], NDArray[Any]], constant: float
) -> None:
    scores, answers = given
    moved = scores + np.array([0.0, 64 * round(constant)])
    assert auc(moved, answers) == auc(scores, answers)
    assert adjusted_accuracy(moved, answers) == adjusted_accuracy(scores, answers)


def test_the_interval_of_two_labels_is_delongs() -> None:
    """Its variance written out: that of the placements of the positive rows and of the negative ones."""
    random = np.random.default_rng(3)
    answers = np.repeat([0, 1], [25, 35])
    margin = random.normal(answers * 0.8)
    scores = np.column_stack([-margin / 2, margin / 2])
    value, interval = auc(scores, answers)
    wins = (margin[answers == 1][:, None] > margin[answers == 0][None, :]).astype(float)
    error = math.sqrt(wins.mean(axis=1).var(ddof=1) / 35 + wins.mean(axis=0).var(ddof=1) / 25)
    assert interval is not None
    half = Z95 * error / (value * (1 - value))
    logits = [math.log(end / (1 - end)) for end in interval]
    assert logits == pytest.approx([math.log(value / (1 - value)) + sign * half for sign in (-1, 1)])


@pytest.mark.parametrize("labels", [2, 3])
def test_the_interval_covers_as_it_says(labels: int) -> None:
    """800 draws of 60 rows; the true AUC from 20,000 rows."""
    random = np.random.default_rng(7)

    def draw(rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        answers = np.arange(rows) % labels
        return random.normal(0.7 * (answers[:, None] == np.arange(labels))), answers

    truth = auc(*draw(20_000))[0]
    ends = [interval for interval in (auc(*draw(60))[1] for _ in range(800)) if interval]
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert len(ends) > 795 and 0.92 <= covered <= 0.98


def test_without_a_variance_there_is_no_interval() -> None:
    perfect = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    assert auc(perfect, np.array([0, 0, 1, 1])) == (1.0, None)
    assert auc(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]]), np.array([0, 1, 0]))[1] is None


@settings(deadline=None, max_examples=60)
@given(scored(max_rows=6))
def test_the_adjusted_labels_have_the_largest_sum_of_scores(given: tuple[NDArray[Any], NDArray[Any]]) -> None:
    scores, answers = given
    labels, wanted = scores.shape[1], np.bincount(answers, minlength=scores.shape[1])
    sums: dict[tuple[int, ...], float] = {}
    for said in product(range(labels), repeat=len(scores)):
        if np.array_equal(np.bincount(said, minlength=labels), wanted):
            sums[said] = float(scores[np.arange(len(scores)), said].sum())
    best = max(sums.values())
    right = [float(np.mean(np.array(said) == answers)) for said, total in sums.items() if total > best - 1e-9]
    found = adjusted_accuracy(scores, answers)
    if labels == 2:  # the mean over all orders of ties
        assert found == pytest.approx(sum(right) / len(right))
    else:
        assert any(found == pytest.approx(one) for one in right)


def test_a_task_has_fixed_labels_if_all_rows_have_the_same_choices() -> None:
    scores, answers = np.array([[-1.0, -2.0], [-1.0, -3.0], [-2.0, -1.0], [-1.0, -1.5]]), np.array([0, 1, 1, 0])
    rows = examples_of(scores, answers)
    found = label_values(rows)
    assert found is not None
    assert found.shares == (LabelShare("no", 0.75, 0.5), LabelShare("yes", 0.25, 0.5))
    assert (found.rows, found.prior_shift, found.adjusted) == (4, 0.25, 0.5)
    assert found.document()["adjusted_accuracy"] == 0.5
    assert label_values([]) is None
    assert label_values([*rows[:3], {**rows[3], "choices": [" no", " other"]}]) is None
    assert label_values([{**row, "choices": ["no", " no"]} for row in rows]) is None
    assert label_values([{**row, "answer": 0} for row in rows]) is None
    assert label_values([{**row, "scores": [math.nan, 0.0]} for row in rows]) is None


def test_shares_come_back_as_they_were() -> None:
    shares = (LabelShare("no", 1 / 3, 0.25), LabelShare("täglich\n", 2 / 3, 0.75))
    values = LabelValues(shares, 12, 0.5, None, 0.5)
    columns = pack_labels({"a": values, "b": values})
    found = unpack_labels(columns["tasks"], columns["numbers"])
    assert found == [(task, share) for task in ("a", "b") for share in shares]
    assert unpack_labels(**dict(zip(("tasks", "block"), pack_labels({}).values(), strict=True))) == []


def drawn(random: np.random.Generator, rows: int, constant: float, noise: float) -> tuple[LabelValues, float]:
    """The label values and accuracy of a model that reads the same rows with other errors."""
    answers = np.arange(rows) % 2
    margin = np.random.default_rng(rows).normal(1.2 * answers - 0.6) + noise * random.normal(size=rows) + constant
    found = label_values(examples_of(np.column_stack([-margin / 2, margin / 2]), answers))
    assert found is not None
    return found, float(np.mean((margin > 0) == answers))


@pytest.mark.parametrize(("rows", "noise"), [(60, 0.3), (60, 3.0), (400, 1.0)])
def test_noise_is_seldom_called_a_shift(rows: int, noise: float) -> None:
    """Placebo: a pruned model whose scores differ by noise without a preference for a label. At most 1 % of 600."""
    random = np.random.default_rng(11)
    dense = drawn(random, rows, 0.0, 0.0)
    changes = [prior_change(*drawn(random, rows, 0.0, noise), *dense) for _ in range(600)]
    assert np.mean([change.mostly for change in changes]) <= 0.01
    assert all(change.content + change.prior == pytest.approx(change.difference) for change in changes)


def test_a_constant_is_a_shift() -> None:
    random = np.random.default_rng(11)
    dense = drawn(random, 200, 0.0, 0.0)
    change = prior_change(*drawn(random, 200, 4.0, 0.0), *dense)
    assert change.mostly and change.label == "yes" and change.difference < 0
    assert change.content == 0 and change.prior == change.difference
    back = prior_change(*dense, *drawn(random, 200, 4.0, 0.0))
    assert back.mostly and back.label == "no" and back.difference > 0, "a gain"
