"""Mean, extremes and histogram of every neuron against NumPy's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa.statistics import BINS, spread
from tests.nsa.test_scoring import layout, values

POSITIONS = layout([7, 5, 9], [2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_the_spread_of_every_neuron(seed: int, count_special: bool) -> None:
    positions = replace(POSITIONS, count_special=count_special)
    a = values(seed, 20, 21)
    found = spread(torch.from_numpy(a), positions)
    exact = a[:, positions.counted].astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.deviation, exact.std(1), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found.minimum, exact.min(1))
    np.testing.assert_array_equal(found.maximum, exact.max(1))
    for row, counts in zip(exact, found.histogram, strict=True):
        expected, edges = np.histogram(row, BINS, (row.min(), row.max()))
        near = np.abs(row[:, None] - edges[1:-1]).min(1) < 1e-5  # rounding may take these to the next bin
        assert np.abs(counts - expected).sum() <= 2 * near.sum()
    assert (found.histogram.sum(1) == positions.counted.sum()).all()


def test_a_pruned_models_counts_stand_in_the_dense_models_bins() -> None:
    low, high = np.array([0.0, -1.0], np.float32), np.array([16.0, 15.0], np.float32)
    a = torch.zeros(2, 21)
    a[0, 1:7] = torch.tensor([-5.0, 0.5, 3.5, 15.9, 16.0, 99.0])
    found = spread(a[:, :7], layout([7], [2]), (low, high))
    assert found.histogram[0].tolist() == [2, 0, 0, 1, *[0] * 11, 3]
    assert found.histogram[1].tolist() == [0, 6, *[0] * 14]


def test_a_neuron_that_never_changes() -> None:
    found = spread(torch.full((1, 21), 0.25), POSITIONS)
    assert found.histogram[0].tolist() == [18, *[0] * (BINS - 1)]
    assert found.mean[0] == pytest.approx(0.25)
    assert found.table.tolist() == [[0.25, 0.25, 0.25, 18, *[0] * (BINS - 1)]]
