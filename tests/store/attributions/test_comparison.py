"""Overlaps of two rankings against plain sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prunescope.store.attributions.comparison import Comparison, Top


def scores(seed: int, layers: int, neurons: int) -> np.ndarray:
    """Random Scores, some of them zero, some not ranked."""
    random = np.random.default_rng(seed)
    found = random.uniform(0, 1, (layers, neurons))
    found[random.uniform(size=found.shape) < 0.2] = 0
    found[random.uniform(size=found.shape) < 0.15] = np.nan
    return found.astype(np.float32)


def best(own: np.ndarray, other: np.ndarray, layers: list[int], k: int) -> set[tuple[int, int]]:
    """The k best that both rank, by sorting tuples."""
    ranked = [
        (-own[layer, neuron], layer, neuron)
        for layer in layers
        for neuron in range(own.shape[1])
        if np.isfinite(own[layer, neuron]) and np.isfinite(other[layer, neuron])
    ]
    return {(layer, neuron) for score, layer, neuron in sorted(ranked)[:k] if score < 0}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(4, 30), st.integers(1, 40))
def test_everything_is_what_sets_say(seed: int, layers: int, neurons: int, k: int) -> None:
    first, second = scores(seed, layers, neurons), scores(seed + 1, layers, neurons)
    chosen = [layer for layer in range(layers) if layer != 1]
    compared, top = Comparison(first, second, chosen), Top(count=k)
    both = np.isfinite(first) & np.isfinite(second)
    assert compared.population == int(both[chosen].sum())

    over_all = compared.over_all(top)
    a, b = best(first, second, chosen, k), best(second, first, chosen, k)
    assert over_all.anywhere.shared == over_all.in_layers.shared == len(a & b)
    assert (over_all.anywhere.first, over_all.anywhere.second) == (len(a), len(b))
    # SciPy has no distribution over nothing: whatever is drawn from it is what had to come.
    wanted = stats.hypergeom(compared.population, len(a), len(b)).sf(len(a & b) - 1) if compared.population else 1.0
    assert over_all.anywhere.p == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    within = sum(
        len({each for each in a if each[0] == layer})
        * len({each for each in b if each[0] == layer})
        / both[layer].sum()
        for layer in chosen
        if both[layer].any()
    )
    assert over_all.in_layers.expected == pytest.approx(within, abs=1e-9)

    rows, whole = compared.by_layer(top)
    assert [row.layer for row in rows] == chosen
    found = set()
    for row in rows:
        a, b = best(first, second, [row.layer], k), best(second, first, [row.layer], k)
        found |= a & b
        size = int(both[row.layer].sum())
        assert (row.overlap.population, row.overlap.first, row.overlap.second) == (size, len(a), len(b))
        assert row.overlap.shared == len(a & b)
        assert row.overlap.expected == pytest.approx(len(a) * len(b) / size if size else 0)
        assert row.overlap.low <= row.overlap.expected <= row.overlap.high
        if row.correlation is not None:
            rho = stats.spearmanr(first[row.layer][both[row.layer]], second[row.layer][both[row.layer]]).statistic
            assert row.correlation.value == pytest.approx(rho, abs=1e-9)
            assert row.correlation.neurons == size
    np.testing.assert_allclose([row.q for row in rows], stats.false_discovery_control([row.overlap.p for row in rows]))
    assert whole.shared == len(found) and set(compared.shared(top)) == found
    assert whole.expected == pytest.approx(sum(row.overlap.expected for row in rows))


def test_the_same_ranking_shares_all_and_a_reversed_one_nothing() -> None:
    values = np.arange(1, 101, dtype=np.float32).reshape(2, 50)
    same, opposite = Comparison(values, values, [0, 1]), Comparison(values, 101 - values, [0, 1])
    assert same.over_all(Top(count=10)).anywhere.shared == 10
    assert same.correlation() is not None and same.correlation().value == 1  # type: ignore[union-attr]
    assert same.shared(Top(count=2)) == [(1, 49), (1, 48), (0, 49), (0, 48)]
    found = opposite.over_all(Top(count=10))
    assert found.anywhere.shared == 0 and found.anywhere.p == 1
    assert opposite.correlation().value == -1  # type: ignore[union-attr]


def test_liking_the_same_layer_is_no_agreement_within_it() -> None:
    """Both put layer 0 on top, and choose at random there: far from chance anywhere, close to chance within layers."""
    random = np.random.default_rng(3)
    first, second = (random.uniform(size=(4, 500)) + np.array([[9], [0], [0], [0]]) for _ in range(2))
    found = Comparison(first, second, [0, 1, 2, 3]).over_all(Top(count=100))
    assert found.anywhere.p < 1e-4 and found.anywhere.expected == pytest.approx(5)
    assert found.in_layers.expected == pytest.approx(20)
    assert found.in_layers.low <= found.in_layers.shared <= found.in_layers.high


def test_chance_is_right_for_random_rankings() -> None:
    """Over many pairs of random rankings the mean overlap is the expected one, and p is not small more often than it
    says."""
    random = np.random.default_rng(5)
    found = [
        Comparison(random.uniform(size=(3, 40)), random.uniform(size=(3, 40)), [0, 1, 2]).by_layer(Top(count=8))[1]
        for _ in range(600)
    ]
    assert np.mean([each.shared for each in found]) == pytest.approx(found[0].expected, abs=0.25)
    assert np.mean([each.p <= 0.05 for each in found]) < 0.08
    assert np.mean([each.low <= each.shared <= each.high for each in found]) > 0.93


def test_a_layer_in_which_nothing_can_be_compared() -> None:
    first, second = np.ones((2, 3)), np.ones((2, 3))
    first[0] = np.nan
    rows, whole = Comparison(first, second, [0, 1]).by_layer(Top(count=2))
    assert (rows[0].overlap.population, rows[0].overlap.shared, rows[0].overlap.p) == (0, 0, 1)
    assert rows[0].correlation is None and rows[1].correlation is None
    assert whole.population == 3


@pytest.mark.parametrize(
    ("text", "population", "count"),
    [
        ("50", 1000, 50),
        ("50", 20, 20),
        (" 5% ", 100, 5),
        ("5 %", 101, 6),
        ("0.5%", 10, 1),
        ("100%", 7, 7),
        ("5%", 0, 0),
    ],
)
def test_top_is_a_number_or_a_share(text: str, population: int, count: int) -> None:
    assert Top.parse(text).of(population) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "5.5", "101%", "0%", "nan%", "%", "many", "1e400%", "9" * 30])
def test_what_is_no_top(text: str) -> None:
    with pytest.raises(ValueError, match="no number of neurons such as 50"):
        Top.parse(text)


def test_top_is_written_as_it_is_read() -> None:
    assert [str(Top.parse(text)) for text in ("50", "5%", "2.5 %")] == ["50", "5%", "2.5%"]
