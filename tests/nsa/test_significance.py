"""p-values against empirical and exact tails, and q-values."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prunescope.nsa.significance import MIN_P, MIN_REACHED, p_values, q_values


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([3, 20, 60, 200]))
def test_where_enough_draws_reach_it_p_is_their_share(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    draws, observed = np.round(rng.standard_normal((count, 40)), 1), np.round(rng.standard_normal(40), 1)
    found = p_values(torch.from_numpy(draws), torch.from_numpy(observed))
    for item in range(40):
        reached = sum(draw >= observed[item] for draw in draws[:, item])
        share = (reached + 1) / (count + 1)
        assert found[item] == pytest.approx(share) if reached >= MIN_REACHED else 0 < found[item] <= share


@pytest.mark.parametrize("law", [stats.norm(), stats.gamma(2.0), stats.expon()])
def test_the_tail_is_not_too_small(law: Any) -> None:
    """Of values drawn from the law of the draws, not more have a small p than they should."""
    draws = law.rvs(size=(200, 60_000), random_state=1)
    observed = law.rvs(size=60_000, random_state=2)
    found = p_values(torch.from_numpy(draws), torch.from_numpy(observed))
    for level in (0.05, 0.01, 0.001):
        assert (found <= level).mean() <= 1.4 * level
    assert (found <= 0.05).mean() >= 0.04
    assert (found <= 0.001).mean() > 0


def test_equal_draws_have_no_tail() -> None:
    found = p_values(torch.zeros(100, 2), torch.tensor([5.0, 0.0]))
    assert found.tolist() == pytest.approx([1 / 101, 1.0])


def test_q_values_are_benjamini_hochberg() -> None:
    p = np.random.default_rng(0).random((4, 50)) ** 2
    p[1, 3] = np.nan
    found = q_values(p)
    assert np.isnan(found[1, 3])
    known = np.isfinite(p)
    np.testing.assert_allclose(found[known], stats.false_discovery_control(p[known], method="bh"), rtol=1e-9)
    assert (found[known] >= p[known]).all()
    assert q_values(np.full((2, 2), np.nan)).shape == (2, 2)


def test_the_tail_gives_no_p_below_its_minimum() -> None:
    draws = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 3)))
    found = p_values(draws, torch.tensor([4.0, 40.0, 4e6], dtype=torch.float64))
    assert found[0] > MIN_P
    assert found[1:].tolist() == [MIN_P] * 2
