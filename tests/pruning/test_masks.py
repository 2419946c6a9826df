"""Masks against slow and obvious ones, on scores with many ties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from prunescope.lm.errors import BadPattern
from prunescope.pruning.masks import count_true, keep_by_matrix, keep_by_row, keep_n_of_m, lowest, lowest_by_counting
from prunescope.pruning.patterns import NofM, Unstructured

SPARSITIES = st.floats(0, 0.999)


COLUMNS = st.integers(1, 40)


def matrices(columns=COLUMNS):
    """Small whole numbers, so that ties are the rule."""
    shapes = st.tuples(st.integers(1, 6), columns)
    values = st.integers(0, 5).map(float)
    return shapes.flatmap(lambda shape: arrays.arrays("float32", shape, elements=values)).map(torch.from_numpy)


def slowly_lowest(row, count):
    order = sorted(range(len(row)), key=lambda position: (row[position], position))
    return [position in order[:count] for position in range(len(row))]


@given(matrices(), SPARSITIES)
def test_by_row_exactly_the_lowest_go_first_ones_among_equals(scores, sparsity):
    keep = keep_by_row(scores, Unstructured(sparsity))
    count = int(scores.shape[1] * sparsity)
    assert (~keep).tolist() == [slowly_lowest(row, count) for row in scores.tolist()]
    assert count_true(~keep) == count * len(scores)


@given(matrices(), SPARSITIES.filter(bool))
def test_by_matrix_one_more_than_the_share_goes_first_ones_among_equals(scores, sparsity):
    count = int(scores.numel() * sparsity) + 1
    keep = keep_by_matrix(scores, Unstructured(sparsity))
    assert (~keep).flatten().tolist() == slowly_lowest(scores.flatten().tolist(), count)
    assert count_true(~keep) == count


@given(st.data(), SPARSITIES.filter(bool))
def test_by_matrix_without_ties_is_the_published_threshold(data, sparsity):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 40)))
    places = data.draw(st.permutations(range(shape[0] * shape[1])))
    scores = torch.tensor(places, dtype=torch.float32).view(shape)
    threshold = scores.flatten().sort().values[int(scores.numel() * sparsity)]
    assert torch.equal(keep_by_matrix(scores, Unstructured(sparsity)), scores > threshold)


def test_sparsity_zero_keeps_everything():
    scores = torch.zeros(2, 3)
    assert keep_by_matrix(scores, Unstructured(0.0)).all() and keep_by_row(scores, Unstructured(0.0)).all()


@given(matrices(st.integers(1, 16)), st.data())
def test_counting_chooses_the_same_as_a_threshold_does(scores, data):
    count = data.draw(st.integers(0, scores.shape[1]))
    assert torch.equal(lowest_by_counting(scores, count), lowest(scores, count))


@given(st.data(), st.integers(2, 20))
def test_n_of_m_by_group(data, m):
    n = data.draw(st.integers(1, m - 1))
    scores = data.draw(matrices(st.integers(1, 4).map(lambda groups: groups * m)))
    expected = [
        [gone for start in range(0, len(row), m) for gone in slowly_lowest(row[start : start + m], m - n)]
        for row in scores.tolist()
    ]
    for keep in (keep_n_of_m, keep_by_row, keep_by_matrix):
        assert (~keep(scores, NofM(n, m))).tolist() == expected


def test_columns_that_m_does_not_divide():
    with pytest.raises(BadPattern, match="6 columns cannot be cut into groups of 4"):
        keep_n_of_m(torch.zeros(2, 6), NofM(2, 4))


@given(matrices(), st.data())
def test_lowest_of_none_and_all(scores, data):
    count = data.draw(st.sampled_from([0, scores.shape[1]]))
    assert count_true(lowest(scores, count)) == len(scores) * count


@pytest.mark.parametrize("columns", [7, 300])
def test_lowest_of_random_numbers_equals_a_stable_sort(columns):
    scores = torch.randn(50, columns, generator=torch.Generator().manual_seed(1)).abs()
    for count in (1, columns // 2, columns):
        expected = torch.zeros_like(scores, dtype=torch.bool)
        expected.scatter_(1, scores.sort(dim=1, stable=True).indices[:, :count], True)
        assert torch.equal(lowest(scores, count), expected)
