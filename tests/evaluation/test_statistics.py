import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.evaluation.statistics import chance_accuracy, majority_accuracy, wilson_interval


@given(st.integers(1, 5000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_the_interval_is_wilsons_formula(counts: tuple[int, int]) -> None:
    correct, rows = counts
    z = 1.959963984540054
    share, weight = correct / rows, 1 / (1 + z**2 / rows)
    middle = weight * (share + z**2 / (2 * rows))
    half = weight * z * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    assert wilson_interval(correct, rows) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_chance_and_majority_are_what_guessing_gives() -> None:
    assert chance_accuracy([2, 2, 4]) == pytest.approx((0.5 + 0.5 + 0.25) / 3)
    assert majority_accuracy([0, 1, 1, 1]) == 0.75
