"""Choice of top and control neurons, and the order of conditions in ablation and restoration."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.nsa.causal import Groups, ablate, choose, dense_weights, output_norms, restore
from prunescope.nsa.counted import CountedTokens
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
def test_every_draw_has_as_many_of_every_tenth_by_size_in_every_layer(
    seed: int, layers: int, count: int, draws: int, some: bool
) -> None:
    ranks = made_up_ranks(seed, layers, 40, 0.1)
    sizes = np.random.default_rng(seed).random(ranks.shape)
    among = (0,) if some else None
    groups = choose(ranks, sizes, count, draws, layers=among, seed=seed)
    best = sorted((rank, place) for place, rank in enumerate(ranks[:1].ravel() if some else ranks.ravel()) if rank)
    assert groups.top.tolist() == [place for _, place in best[:count]]
    assert len(groups.draws) == draws
    tenth = {}
    for layer in range(layers):
        pool = sorted((sizes[layer, neuron], neuron) for neuron in range(40) if ranks[layer, neuron])
        larger = len(pool) % 10  # so many tenths have one neuron more
        for place, (_, neuron) in enumerate(pool):
            size = len(pool) // 10
            cut = larger * (size + 1)
            number = place // (size + 1) if place < cut else larger + (place - cut) // size
            tenth[layer * 40 + neuron] = layer, number
    for draw in groups.draws:
        assert len(set(draw.tolist())) == count
        assert (ranks.ravel()[draw] > 0).all()
        assert sorted(tenth[place] for place in draw.tolist()) == sorted(tenth[place] for place in groups.top.tolist())
    again = choose(ranks, sizes, count, draws, layers=among, seed=seed)
    assert np.array_equal(groups.draws, again.draws)
    by_layer = groups.by_layer(groups.top)
    assert sorted(layer * 40 + neuron for layer, found in by_layer.items() for neuron in found) == sorted(groups.top)


def test_every_neuron_of_a_tenth_is_drawn_about_as_often_the_top_ones_too() -> None:
    ranks = np.arange(1, 41).reshape(2, 20)
    sizes = np.tile(np.arange(20.0), (2, 1))
    groups = choose(ranks, sizes, 2, 3000)  # 0 and 1, which are the first tenth of layer 0
    assert set(groups.draws.ravel().tolist()) == {0, 1}
    sizes[0, :2] = 2.5, 17.5  # now one is in the second tenth, with neuron 3; one in the tenth with neuron 17
    seen = np.bincount(choose(ranks, sizes, 2, 3000).draws.ravel(), minlength=40)
    assert (np.flatnonzero(seen) == [0, 1, 3, 17]).all() or seen.nonzero()[0].size == 4
    assert np.abs(seen[seen > 0] - 1500).max() < 150


def test_a_random_set_in_place_of_the_top_neurons_has_small_p_as_often_as_it_should() -> None:
    """Sets from the rest of the layer fail this: their effect varies less than that of a set of all neurons."""
    rng = np.random.default_rng(0)
    effects = rng.exponential(1, (3, 60))
    sizes = effects * rng.uniform(0.5, 2, effects.shape)
    few = {"all": 0, "rest": 0}
    for trial in range(1500):
        ranks = (1 + rng.permutation(180)).reshape(3, 60)
        groups = choose(ranks, sizes, 45, 19, seed=trial)
        rest = np.setdiff1d(np.arange(180), groups.top)
        others = [
            np.concatenate(
                [
                    rng.choice(rest[rest // 60 == layer], len(some), replace=False)
                    for layer, some in groups.by_layer(groups.top).items()
                ]
            )
            for _ in range(19)
        ]
        for name, draws in (("all", groups.draws), ("rest", others)):
            top, controls = effects.ravel()[groups.top].sum(), [effects.ravel()[draw].sum() for draw in draws]
            few[name] += (1 + sum(each >= top for each in controls)) / 20 <= 0.05
    assert 0.035 <= few["all"] / 1500 <= 0.065
    assert few["rest"] / 1500 > 0.08


@pytest.mark.parametrize(
    ("count", "layers", "said"),
    [
        (21, None, "21 top neurons are asked for, but 20 are ranked; ask for fewer"),
        (11, (1,), "11 top neurons are asked for, but 10 are ranked in layer 1; ask for fewer"),
    ],
)
def test_too_few_neurons(count: int, layers: tuple[int, ...] | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        choose(np.arange(1, 21).reshape(2, 10), np.ones((2, 10)), count, 2, layers=layers)


def test_the_norms_of_the_output_weights() -> None:
    model = tiny("gpt2")
    norms = output_norms(model)
    for layer in range(2):
        weights = weight_view(down_projection(decoder_layers(model)[layer])).numpy()
        np.testing.assert_allclose(norms[layer], np.sqrt((weights**2).sum(0)), rtol=1e-5)


IDS = torch.tensor([[0, 7, 100, 33, 250, 4, 9]])


def everywhere(model: PreTrainedModel) -> CountedTokens:
    return CountedTokens(model, (), count_special=True, count_sinks=True)


GROUPS = Groups(np.array([3, 64 + 5]), np.array([[9, 64 + 6], [11, 64 + 7], [12, 64 + 8]]), 64)


def asked(model: torch.nn.Module, names: list[str]) -> Callable[[str], np.ndarray]:
    def measure(name: str) -> np.ndarray:
        names.append(name)
        return model(IDS).logits[0, :, :1].T.numpy()

    return measure


def test_the_dense_model_without_each_group_in_turn() -> None:
    model, names = tiny("llama"), []
    means = np.random.default_rng(0).normal(0, 1, (2, 64)).astype(np.float32)
    found = ablate(model, GROUPS, means, everywhere(model), asked(model, names))
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
    found = ablate(model, GROUPS, np.zeros((2, 64), np.float32), everywhere(model), asked(model, []))
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
