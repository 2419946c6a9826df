"""The token sample: its places, exact quantiles of a small corpus, and the stated error on a large one."""

import numpy as np
import pytest

from prunescope.nsa.corpus.sampling import QUANTILES, draw, quantiles
from prunescope.nsa.corpus.windows import Windows


def made_up(lengths: list[int], seed: int = 0) -> Windows:
    ends = np.cumsum(lengths)
    counted = np.random.default_rng(seed).random(int(ends[-1])) < 0.9
    counted[[0, *ends[:-1]]] = False
    return Windows(np.arange(int(ends[-1]), dtype=np.int32), counted, ends, 1, bos=False)


@pytest.mark.parametrize("size", [5, 10_000])
def test_places_are_distinct_counted_tokens_in_the_order_of_reading(size: int) -> None:
    windows = made_up([7, 3, 9, 9, 4])
    order = np.array([2, 3, 0, 4, 1])
    places = draw(windows, order, 0, size)
    numbers = order[places.rank]
    ids = windows.ids[windows.starts[numbers] + places.position]
    assert len(set(ids.tolist())) == len(ids) == min(size, windows.tokens)
    assert windows.counted[ids].all()
    assert (np.diff(places.rank) >= 0).all()
    assert places.between(1, 3) == slice(int((places.rank < 1).sum()), int((places.rank < 3).sum()))


def test_the_sample_is_of_the_seed() -> None:
    windows = made_up([50] * 20)
    order = np.arange(20)
    first, again, other = (draw(windows, order, seed, 30) for seed in (1, 1, 2))
    assert np.array_equal(first.rank, again.rank) and np.array_equal(first.position, again.position)
    assert not np.array_equal(first.position, other.position)


@pytest.mark.parametrize("tokens", [1, 2, 99, 100, 1000])
def test_quantiles_of_all_tokens_are_exact(tokens: int) -> None:
    values = np.random.default_rng(0).normal(size=(tokens, 4)).astype(np.float16)
    expected = np.quantile(values.astype(np.float32), QUANTILES, axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(quantiles(values), expected)


def test_the_rank_of_a_sampled_quantile_is_within_its_stated_error() -> None:
    random = np.random.default_rng(0)
    neurons, size = 400, 1024
    population = np.sort(random.standard_t(3, size=(20_000, neurons)).astype(np.float32), axis=0)
    chosen = np.stack([random.permutation(20_000)[:size] for _ in range(neurons)], axis=1)
    found = quantiles(np.take_along_axis(population, chosen, axis=0))
    for q, values in zip(QUANTILES, found, strict=True):
        ranks = np.array([np.searchsorted(population[:, neuron], values[neuron]) for neuron in range(neurons)]) / 20_000
        error = np.sqrt(q * (1 - q) / size)
        assert abs(ranks.mean() - q) < 0.25 * error + 1 / size
        assert np.sqrt(((ranks - q) ** 2).mean()) < 1.15 * error + 1 / size
