"""Channel permutation against brute force, and what must hold for any scores."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.pruning.masks import keep_n_of_m
from prunescope.pruning.patterns import NofM
from prunescope.pruning.permutation import assigned, reallocated, retained

PATTERNS = st.sampled_from([NofM(1, 2), NofM(2, 4), NofM(1, 4), NofM(3, 4), NofM(2, 5), NofM(4, 8)])


@st.composite
def problems(draw):
    pattern = draw(PATTERNS)
    rows, groups = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return torch.rand(rows, groups * pattern.m, generator=generator), pattern


@given(problems())
def test_reallocation_deals_the_columns_out_as_a_snake(problem):
    scores, pattern = problem
    order = reallocated(scores, pattern)
    assert sorted(order.tolist()) == list(range(scores.shape[1]))
    ascending = sorted(range(scores.shape[1]), key=lambda column: float(scores[:, column].sum()))
    groups = scores.shape[1] // pattern.m
    for part in range(pattern.m):
        expected = ascending[part * groups : (part + 1) * groups]
        assert order.view(groups, pattern.m)[:, part].tolist() == (expected[::-1] if part % 2 else expected)


@given(problems(), st.integers(1, 4))
@settings(deadline=None)
def test_assignment_is_a_permutation_that_never_retains_less(problem, subgroups):
    scores, pattern = problem
    start = reallocated(scores, pattern)
    order = assigned(scores, pattern, start, subgroups)
    assert sorted(order.tolist()) == list(range(scores.shape[1]))
    assert retained(scores, pattern, order) >= retained(scores, pattern, start) * (1 - 1e-6)


@pytest.mark.parametrize("pattern", [NofM(1, 2), NofM(2, 4), NofM(2, 3)], ids=str)
def test_each_slot_gets_the_best_of_all_assignments(pattern):
    """Of a matrix with four groups, slot by slot, every way of giving a slot's columns to the groups is tried."""
    scores = torch.rand(5, 4 * pattern.m, generator=torch.Generator().manual_seed(pattern.m))
    best = reallocated(scores, pattern)
    for slot in range(pattern.m):
        choices = []
        for way in permutations(range(4)):
            slots = best.view(4, pattern.m).clone()
            slots[:, slot] = slots[list(way), slot]
            choices.append(slots.flatten())
        best = max(choices, key=lambda order: retained(scores, pattern, order))
    assert torch.equal(assigned(scores, pattern, reallocated(scores, pattern), 1), best)


def test_sub_groups_keep_columns_among_themselves():
    pattern, scores = NofM(2, 4), torch.rand(8, 64, generator=torch.Generator().manual_seed(0))
    start = reallocated(scores, pattern)
    order = assigned(scores, pattern, start, 4)
    assert not torch.equal(order, start)
    for first in range(4):
        for slot in range(4):
            before, after = (one.view(16, 4)[first::4, slot].tolist() for one in (start, order))
            assert sorted(before) == sorted(after)
    whole = assigned(scores, pattern, start, 1)
    assert retained(scores, pattern, start) < retained(scores, pattern, order) < retained(scores, pattern, whole)


def test_more_sub_groups_than_groups_change_nothing():
    pattern, scores = NofM(2, 4), torch.rand(8, 16, generator=torch.Generator().manual_seed(0))
    start = reallocated(scores, pattern)
    assert torch.equal(assigned(scores, pattern, start, 100), start)


def test_what_is_retained_is_what_a_mask_in_that_order_keeps():
    pattern, scores = NofM(2, 4), torch.rand(3, 12, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    kept = scores[:, order][keep_n_of_m(scores[:, order], pattern)].sum()
    assert retained(scores, pattern, order) == pytest.approx(float(kept))
