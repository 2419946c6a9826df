"""OWL's sparsities against the formula written down once more, and what must hold for any ratios."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.lm.errors import BadInput, BadPattern
from prunescope.pruning.allocation import (
    OWL,
    UNIFORM,
    build_allocation,
    layer_patterns,
    layer_sparsities,
    outlier_ratio,
)
from prunescope.pruning.patterns import NofM, Unstructured

LAYERS = st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 1000)), min_size=1, max_size=12)


@given(LAYERS, st.floats(0, 0.99), st.floats(0, 0.5))
def test_the_mean_over_all_weights_is_the_target_and_every_layer_keeps_something(layers, target, spread):
    ratios, sizes = zip(*layers, strict=True)
    sparsities = layer_sparsities(ratios, sizes, target, spread)
    assert np.average(sparsities, weights=sizes) == pytest.approx(target, abs=1e-12)
    assert all(0 <= sparsity <= 1 - 0.0999 * (1 - target) for sparsity in sparsities)
    assert max(sparsities) - min(sparsities) <= 2 * spread + 1e-12
    order = np.argsort(ratios, kind="stable")
    assert (np.diff(np.array(sparsities)[order]) <= 1e-12).all()


@given(st.lists(st.floats(0, 0.2), min_size=2, max_size=12).filter(lambda ratios: max(ratios) > min(ratios) + 1e-6))
def test_layers_of_one_size_have_scaled_ratios_shifted_to_the_density_asked_for(ratios):
    scaled = (np.array(ratios) - min(ratios)) / (max(ratios) - min(ratios)) * 2 * 0.08
    densities = scaled - scaled.mean() + 0.5
    assert layer_sparsities(ratios, [7] * len(ratios), 0.5, 0.08) == pytest.approx(list(1 - densities))


def test_layers_with_the_same_ratio_lose_the_same():
    assert layer_sparsities([0.01, 0.01], [3, 5], 0.7, 0.08) == [0.7, 0.7]


@pytest.mark.parametrize("target", [0.02, 0.97])
def test_near_the_ends_all_layers_move_together(target):
    sparsities = layer_sparsities([0.0, 0.01, 0.02], [1, 1, 1], target, 0.08)
    assert sum(sparsities) / 3 == pytest.approx(target) and sparsities[0] - target == pytest.approx(
        target - sparsities[2]
    )
    assert sparsities[2] == pytest.approx(0) if target < 0.5 else sparsities[0] == pytest.approx(0.997)


def test_outliers_are_counted_over_all_matrices_of_a_layer():
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(6, 8, generator=generator).pow(5), torch.randn(4, 3, generator=generator).pow(5)]
    norms = [torch.rand(8, generator=generator), torch.rand(3, generator=generator)]
    scores = torch.cat([(weight.abs() * norm).flatten() for weight, norm in zip(weights, norms, strict=True)])
    assert outlier_ratio(weights, norms, 3.0) == int((scores > 3 * scores.mean()).sum()) / len(scores) > 0
    assert outlier_ratio([weight.to(torch.bfloat16) for weight in weights], norms, 3.0) > 0


def test_patterns_of_layers():
    half = Unstructured(0.5)
    assert layer_patterns(UNIFORM, half, [], [4, 4]) == [half, half]
    assert layer_patterns(UNIFORM, NofM(2, 4), [], [4]) == [NofM(2, 4)]
    first, second = layer_patterns(OWL(), half, [0.01, 0.03], [4, 4])
    assert (first.sparsity, second.sparsity) == (pytest.approx(0.58), pytest.approx(0.42))


def test_what_does_not_go_together():
    with pytest.raises(BadPattern, match="2:4 is the same share everywhere"):
        layer_patterns(OWL(), NofM(2, 4), [0.1], [4])
    with pytest.raises(BadInput, match="outlier -1 is not above 0"):
        OWL(outlier=-1)
    with pytest.raises(BadInput, match=r"range 0\.7 is outside"):
        OWL(range=0.7)


def test_allocations_by_name():
    assert build_allocation("uniform", {}) == UNIFORM and build_allocation("owl", {"range": 0.1}) == OWL(range=0.1)
    with pytest.raises(BadInput, match="'bowl' is unknown; known: uniform, owl"):
        build_allocation("bowl", {})
    with pytest.raises(BadInput, match="owl has no option 'lambda'; it has outlier, range"):
        build_allocation("owl", {"lambda": 0.1})
