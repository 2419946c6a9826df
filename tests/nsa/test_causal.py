"""Choice of top and control neurons, and the order of conditions in ablation and restoration."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.nsa.causal import Groups, ablate, choose, dense_weights, restore
from tests.models import tiny


def made_up_ranks(seed: int, layers: int, neurons: int, unranked: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ranks = np.zeros(layers * neurons, dtype=np.int64)
    ranked = rng.permutation(np.flatnonzero(rng.random(layers * neurons) >= unranked))
    ranks[ranked] = np.arange(1, len(ranked) + 1)
    return ranks.reshape(layers, neurons)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    layers=st.integers(1, 4),
    count=st.integers(1, 12),
    draws=st.integers(1, 6),
    some=st.booleans(),
)
def test_every_draw_has_as_many_others_in_every_layer(
    seed: int, layers: int, count: int, draws: int, some: bool
) -> None:
    ranks = made_up_ranks(seed, layers, 40, 0.1)
    among = (0,) if some else None
    groups = choose(ranks, count, draws, layers=among, seed=seed)
    best = sorted((rank, place) for place, rank in enumerate(ranks[:1].ravel() if some else ranks.ravel()) if rank)
    assert groups.top.tolist() == [place for _, place in best[:count]]
    assert len(groups.draws) == draws
    for draw in groups.draws:
        assert len(set(draw.tolist())) == count
        assert not set(draw.tolist()) & set(groups.top.tolist())
        assert (ranks.ravel()[draw] > 0).all()
        assert sorted(draw // 40) == sorted(groups.top // 40)
    again = choose(ranks, count, draws, layers=among, seed=seed)
    assert np.array_equal(groups.draws, again.draws)
    by_layer = groups.by_layer(groups.top)
    assert sorted(layer * 40 + neuron for layer, found in by_layer.items() for neuron in found) == sorted(groups.top)


def test_every_other_neuron_is_drawn_about_as_often() -> None:
    ranks = np.arange(1, 21).reshape(2, 10)
    groups = choose(ranks, 2, 3000)  # 0 and 1, both of layer 0: of its others two are drawn
    seen = np.bincount(groups.draws.ravel(), minlength=20)
    assert seen[:2].sum() == 0 and seen[10:].sum() == 0
    assert np.abs(seen[2:10] - 750).max() < 100


@pytest.mark.parametrize(
    ("count", "layers", "said"),
    [
        (21, None, "21 top neurons are asked for, but 20 are ranked; ask for fewer"),
        (11, (1,), "11 top neurons are asked for, but 10 are ranked in layer 1; ask for fewer"),
        (6, (0,), "6 of the 6 top neurons are in layer 0, which has 4 other ranked ones to draw from"),
    ],
)
def test_too_few_neurons(count: int, layers: tuple[int, ...] | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        choose(np.arange(1, 21).reshape(2, 10), count, 2, layers=layers)


IDS = torch.tensor([[0, 7, 100, 33, 250, 4, 9]])
GROUPS = Groups(np.array([3, 64 + 5]), np.array([[9, 64 + 6], [11, 64 + 7], [12, 64 + 8]]), 64)


def asked(model: torch.nn.Module, names: list[str]) -> Callable[[str], np.ndarray]:
    def measure(name: str) -> np.ndarray:
        names.append(name)
        return model(IDS).logits[0, :, :1].T.numpy()

    return measure


def test_the_dense_model_without_each_group_in_turn() -> None:
    model, names = tiny("llama"), []
    means = np.random.default_rng(0).normal(0, 1, (2, 64)).astype(np.float32)
    found = ablate(model, GROUPS, means, asked(model, names))
    assert names == ["as it is", "top neurons", *(f"random neurons, draw {draw} of 3" for draw in (1, 2, 3))]
    assert found.shape == (5, 1, 7)
    for place, group in enumerate((GROUPS.top, *GROUPS.draws), 1):
        plain = tiny("llama")
        for layer, neuron in zip(*np.divmod(group, 64), strict=True):
            down = down_projection(decoder_layers(plain)[layer])
            constant = weight_view(down)[:, neuron] * means[layer, neuron]
            weight_view(down)[:, neuron] = 0
            down.register_forward_hook(lambda _m, _a, out, constant=constant: out + constant)
        np.testing.assert_allclose(found[place], asked(plain, [])(""), rtol=1e-4, atol=1e-5)


def test_a_pruned_model_with_the_weights_of_each_group_in_turn() -> None:
    dense, pruned = tiny("llama"), tiny("llama")
    for layer in range(2):
        down = weight_view(down_projection(decoder_layers(pruned)[layer]))
        down[:, 9] = 0  # of the first draw
    found = restore(pruned, GROUPS, dense_weights(dense, GROUPS), asked(pruned, []))
    same = [np.array_equal(each, found[0]) for each in found]
    assert same == [True, True, False, True, True]


def test_a_planted_cause_is_told_from_the_rest() -> None:
    """One neuron alone decides the output: held at its mean it takes everything away, others take nothing."""
    model = tiny("llama")
    for layer in decoder_layers(model):
        weight_view(down_projection(layer))[:] = 0
    weight_view(down_projection(decoder_layers(model)[1]))[:, 5] = 10
    found = ablate(model, GROUPS, np.zeros((2, 64), np.float32), asked(model, []))
    moved = np.abs(found - found[0]).max((1, 2))
    assert moved[1] > 0.1
    assert moved[2:].max() == 0


def test_cancelling_between_conditions_leaves_the_weights() -> None:
    dense, pruned = tiny("llama"), tiny("llama", seed=1)
    before = {name: value.clone() for name, value in pruned.state_dict().items()}
    calls: list[str] = []

    def measure(name: str) -> np.ndarray:
        calls.append(name)
        if len(calls) == 3:
            raise Cancelled
        return np.zeros((1, 1))

    with pytest.raises(Cancelled):
        restore(pruned, GROUPS, dense_weights(dense, GROUPS), measure)
    assert len(calls) == 3
    assert all(torch.equal(value, before[name]) for name, value in pruned.state_dict().items())
