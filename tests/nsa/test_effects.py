"""Effects of interventions: computed by hand on small cases, and the coverage of the intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa.effects import effect


def test_changes_are_differences_of_means_on_the_same_rows() -> None:
    outcomes = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1], [1, 0, 1, 1]], dtype=float)
    found = effect(outcomes, seed=0, lower=True)
    assert (found.base.value, found.top.value, found.random.value) == (0.75, 0.25, 0.75)
    assert (found.top_change.value, found.random_change.value, found.excess.value) == (-0.5, 0.0, -0.5)
    assert found.draws == [0.75, 0.75]
    assert found.p_value == pytest.approx(1 / 3)


def test_the_p_value_counts_the_draws_that_did_as_much_in_the_expected_direction() -> None:
    top = 0.5
    draws = [0.2, 0.5, 0.5, 0.8, 0.9]
    rows = 10
    outcomes = np.array([[value * rows > row for row in range(rows)] for value in (0.7, top, *draws)], dtype=float)
    assert effect(outcomes, seed=0, lower=True).p_value == pytest.approx(4 / 6)  # three at 0.5 or below
    assert effect(outcomes, seed=0, lower=False).p_value == pytest.approx(5 / 6)  # four at 0.5 or above


def test_rows_that_all_say_the_same_prove_nothing() -> None:
    found = effect(np.tile([1.0, 0.0, 1.0], (4, 1)), seed=0, lower=True)
    assert found.base.low is not None
    for same in (found.top_change, found.random_change, found.excess):
        assert (same.value, same.low, same.high) == (0.0, None, None)
    everywhere = effect(np.ones((4, 3)), seed=0, lower=True)
    assert (everywhere.base.value, everywhere.base.low) == (1.0, None)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 30), draws=st.integers(2, 12), lower=st.booleans())
def test_an_interval_holds_its_value_or_is_none(seed: int, rows: int, draws: int, lower: bool) -> None:
    outcomes = np.random.default_rng(seed).normal(0.5, 0.2, (2 + draws, rows))
    found = effect(outcomes, seed=3, lower=lower)
    assert found == effect(outcomes, seed=3, lower=lower)
    assert found.excess.value == pytest.approx(found.top_change.value - found.random_change.value)
    for each in (found.base, found.top, found.random, found.top_change, found.random_change, found.excess):
        assert each.low is not None and each.high is not None
        spread = each.high - each.low
        assert each.low - spread <= each.value <= each.high + spread
    assert 1 / (draws + 1) <= found.p_value <= 1


def test_the_intervals_cover_as_they_say() -> None:
    """Rows and draws are both samples: of 200 worlds about 95 % have the true excess within the interval."""
    rng = np.random.default_rng(0)
    rows, draws, true = 60, 10, -0.3
    within = 0
    for world in range(200):
        row = rng.normal(0, 1, rows)
        of_draw = rng.normal(0, 0.3, draws)
        noise = rng.normal(0, 0.5, (2 + draws, rows))
        outcomes = noise + row
        outcomes[1] += true
        outcomes[2:] += of_draw[:, None]
        excess = effect(outcomes, seed=world, lower=True).excess
        assert excess.low is not None and excess.high is not None
        within += excess.low <= true <= excess.high
    assert 0.89 <= within / 200 <= 0.99
