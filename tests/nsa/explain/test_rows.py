"""Margins, halves, layouts, curves, rankings and answers of explanations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.lm.answers import Encoded
from prunescope.nsa.explain import rankings
from prunescope.nsa.explain.answers import auc, said
from prunescope.nsa.explain.curves import Margins, Restored, band
from prunescope.nsa.explain.layout import Layout
from prunescope.nsa.explain.rows import Row, halves, is_right, margin_of, margins
from prunescope.nsa.explain.shares import prior_and_content
from tests.models import tiny
from tests.nsa.explain.made import layout_of, random_rows

CHOICE = Encoded((5, 6), (7,), truncated=False)


def test_the_margin_is_the_right_choice_minus_the_best_wrong_one() -> None:
    row = Row(0, (CHOICE, CHOICE, CHOICE), 1)
    assert margins([row, row], [[-3.0, -2.0, -1.0], [-3.0, -2.0, -9.0]]).tolist() == [-1.0, 1.0]
    assert is_right([row, row], [[-3.0, -2.0, -1.0], [-3.0, -2.0, -2.0]]).tolist() == [False, True]
    window = Row(0, (Encoded((5, 6), (6, 7), truncated=False),), 0)
    assert float(margin_of(window, torch.tensor([-3.0]))) == -1.5


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=2, max_size=60),
    st.integers(0, 100),
)
def test_halves_are_alike_in_labels_and_in_what_broke(found: list[tuple[int, bool, bool]], seed: int) -> None:
    rows = [Row(index, (CHOICE,) * 3, label, label) for index, (label, _, _) in enumerate(found)]
    broken, fell = (np.array([each[axis] for each in found]) for axis in (1, 2))
    dealt = halves(rows, broken, fell, seed)
    assert sorted([*dealt[0], *dealt[1]]) == list(range(len(rows)))
    assert abs(len(dealt[0]) - len(dealt[1])) <= 1
    for group in set(found):
        of = [[found[number] == group for number in half].count(True) for half in dealt]
        assert abs(of[0] - of[1]) <= 1


@pytest.mark.parametrize("family", ["llama", "falcon_alibi"])
@pytest.mark.parametrize("sinks", [False, True])
def test_every_choice_is_laid_out_and_position_0_is_not_counted(family: str, sinks: bool) -> None:
    rows = random_rows(6)
    layout = layout_of(tiny(family), rows, sinks)
    stored = np.full(layout.tokens, -1)
    counted = np.zeros(layout.tokens, dtype=bool)
    for placed in layout.placed:
        for each in placed:
            stored[each.start : each.start + len(each.passage.tokens)] = each.passage.tokens
            counted[each.start + each.counted] = True
    assert (stored >= 0).all()
    for number, row in enumerate(rows):
        for choice, encoded in enumerate(row.choices):
            at = layout.place_of(number, choice)
            assert tuple(stored[at]) == encoded.inputs
            assert counted[at].tolist() == [sinks or position > 0 for position in range(len(encoded.inputs))]
    assert sorted(number for batch in layout.batches(range(6), 40) for number in batch) == list(range(6))
    assert [len(batch) for batch in layout.batches(range(6), 1)] == [1] * 6


def test_special_tokens_are_not_counted() -> None:
    row = Row(0, (Encoded((0, 9, 0, 8), (7,), truncated=False),), 0)
    (placed,) = Layout([row], special={0}).placed[0]
    assert placed.counted.tolist() == [1, 3]


def test_restored_is_a_share_of_the_lost_margin_with_its_interval() -> None:
    dense, pruned = np.array([2.0, 1.0, 3.0, -1.0]), np.array([-1.0, -1.0, 2.0, 0.5])
    right = dense > 0, pruned > 0
    held = Margins(dense, pruned, *right, np.array([True, True, False, False]), has_answers=True)
    found = held.restored(np.array([2.0, -0.5, -1.0, 1.0]), np.array([True, False, False, True]))
    assert found.restored == pytest.approx((3.0 + 0.5) / 5)
    assert found.low == pytest.approx(0.25) and found.high == pytest.approx(1.0)
    assert (found.right_again, found.newly_wrong) == (1, 1)
    assert held.lost_under(np.array([0.5, 0.0, 0, 0])).restored == pytest.approx((1.5 + 1.0) / 5)
    alone = Margins(dense, pruned, *right, np.array([True, False, False, False]), has_answers=False)
    assert alone.restored(pruned, right[1]) == Restored(0.0, None, None)


def test_the_band_of_random_draws_is_their_range() -> None:
    found = band([Restored(0.1, 0, 1, 2, 0), Restored(0.3, 0, 1, 4, 1)])
    assert (found.restored, found.low, found.high) == (pytest.approx(0.2), 0.1, 0.3)
    assert (found.right_again, found.newly_wrong) == (3.0, 0.5)
    assert band([Restored(0.1, None, None)] * 2).right_again is None


def test_orders_put_unranked_neurons_last() -> None:
    values = np.array([[0.1, np.nan, 3.0], [3.0, -1.0, np.nan]])
    order = rankings.ranked(values)
    assert order.tolist() == [2, 3, 0, 4, 1, 5]
    assert rankings.ranks(order, (2, 3)).tolist() == [[3, 5, 1], [2, 4, 6]]
    assert {place: some.tolist() for place, some in rankings.chosen(order[:3], 3).items()} == {
        ("neurons", 0): [0, 2],
        ("neurons", 1): [0],
    }


@given(st.integers(1, 40), st.integers(0, 5))
def test_draws_have_as_many_neurons_in_every_layer(count: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(60)[:count]
    drawn = rankings.drawn(order, 20, np.random.default_rng(seed))
    assert len(set(drawn)) == count
    assert np.bincount(drawn // 20, minlength=3).tolist() == np.bincount(order // 20, minlength=3).tolist()


def test_five_percent_is_always_measured() -> None:
    assert rankings.counts_of((1, 500, 3), 200) == [1, 3, 10]
    assert rankings.counts_of((1,), 8) == [1]


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=30), st.floats(-3, 3))
def test_auc_counts_pairs_and_ignores_a_shift(found: list[tuple[float, bool]], shift: float) -> None:
    scores = np.array([[0.0, round(value, 2)] for value, _ in found])
    right = np.array([int(label) for _, label in found])
    pairs = [
        (one > other) + (one == other) / 2
        for one, its in zip(scores[:, 1], right, strict=True)
        for other, its_other in zip(scores[:, 1], right, strict=True)
        if its == 1 and its_other == 0
    ]
    expected = pytest.approx(np.mean(pairs)) if pairs else None
    assert auc(scores, right) == expected
    assert auc(scores + np.array([0.0, round(shift)]), right) == expected


def test_auc_of_three_labels_is_the_mean_over_pairs() -> None:
    scores = np.array([[3.0, 1, 0], [0, 1, 0.5], [0, 2, 4], [1, 2, 3]])
    right = np.array([0, 1, 2, 1])
    pairs = [
        auc(scores[np.isin(right, two)][:, two], np.searchsorted(two, right[np.isin(right, two)]))
        for two in ([0, 1], [0, 2], [1, 2])
    ]
    assert auc(scores, right) == pytest.approx(np.mean([value for value in pairs if value is not None]))
    assert auc(scores[:2], right[:2]) is None
    assert said(scores).tolist() == [0.25, 0.25, 0.5]


@given(st.integers(2, 4), st.integers(0, 3), st.floats(-2, 2), st.floats(-2, 2))
def test_a_shift_towards_a_label_is_prior_and_what_helps_every_label_is_content(
    labels: int, fallen: int, shift: float, content: float
) -> None:
    fallen %= labels
    # A shift s towards a label of two raises the margin of its rows by s and lowers that of the others by s.
    by_label = np.full((labels, 1, 1), content)
    by_label[fallen] += shift * (labels - 1)
    by_label[[label for label in range(labels) if label != fallen]] -= shift
    found = prior_and_content(by_label, fallen)
    assert found.content[0, 0] == pytest.approx(content, abs=1e-9)
    assert found.prior[0, 0] == pytest.approx(shift * (labels - 1), abs=1e-9)
