"""Interventions on neurons: compared with weights set by hand, and undone completely."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.interventions import mean_ablated, restored, weights_of
from tests.models import tiny

NEURONS = {0: np.array([3, 17]), 1: np.array([0, 40, 63])}
IDS = torch.tensor([[0, 7, 100, 33, 250, 4, 9], [0, 5, 5, 299, 12, 80, 81]])


class Place(NamedTuple):
    """Where a family keeps its MLP: the block, what neurons read with, what reads them, whether both are stored
    transposed."""

    block: str
    ups: tuple[str, ...]
    down: str
    transposed: bool = False


PLACES = {
    "llama": Place("model.layers.{}.mlp", ("gate_proj", "up_proj"), "down_proj"),
    "opt": Place("model.decoder.layers.{}", ("fc1",), "fc2"),
    "gpt2": Place("transformer.h.{}.mlp", ("c_fc",), "c_proj", transposed=True),
    "gpt_neox": Place("gpt_neox.layers.{}.mlp", ("dense_h_to_4h",), "dense_4h_to_h"),
    "phi3": Place("model.layers.{}.mlp", ("gate_up_proj",), "down_proj"),
}


def module(model: nn.Module, family: str, layer: int, name: str) -> nn.Module:
    return model.get_submodule(f"{PLACES[family].block.format(layer)}.{name}")


def matrix(model: nn.Module, family: str, layer: int, name: str) -> Tensor:
    """[out, in]; writing into it writes the weight."""
    weight: Tensor = module(model, family, layer, name).weight
    return weight.T if PLACES[family].transposed else weight


def copy_by_hand(model: PreTrainedModel, other: PreTrainedModel, family: str) -> None:
    """Give the neurons in `model` what they have in `other`, named weight by named weight."""
    for layer, neurons in NEURONS.items():
        for name in PLACES[family].ups:
            own, theirs = (matrix(each, family, layer, name) for each in (model, other))
            rows = [*neurons, *(neurons + 64)] if len(own) == 128 else [*neurons]
            own[rows] = theirs[rows]
            bias = module(model, family, layer, name).bias
            if bias is not None:
                bias[rows] = module(other, family, layer, name).bias[rows]
        down, theirs = (matrix(each, family, layer, PLACES[family].down) for each in (model, other))
        down[:, neurons] = theirs[:, neurons]


def shifted_biases(model: PreTrainedModel) -> PreTrainedModel:
    """Fresh models have biases of zero, which no test could tell apart."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter += torch.linspace(-0.5, 0.5, len(parameter))
    return model


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(model: nn.Module, before: dict[str, Tensor]) -> None:
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", list(PLACES))
def test_a_neuron_held_at_its_mean_says_the_same_at_every_token(family: str) -> None:
    """By hand: nobody reads the neuron, and its mean goes into the layer's output as a constant."""
    means = {layer: np.linspace(-1, 2, len(neurons), dtype=np.float32) for layer, neurons in NEURONS.items()}
    model, plain = tiny(family), tiny(family)
    for layer, neurons in NEURONS.items():
        down = matrix(plain, family, layer, PLACES[family].down)
        constant = down[:, neurons] @ torch.from_numpy(means[layer])
        down[:, neurons] = 0
        module(plain, family, layer, PLACES[family].down).register_forward_hook(
            lambda _module, _args, output, constant=constant: output + constant
        )
    before, untouched = state(model), model(IDS).logits
    counted = CountedTokens(model, (), count_special=True, count_sinks=True)
    with mean_ablated(model, NEURONS, means, counted):
        found = model(IDS).logits
    assert not torch.allclose(found, untouched, atol=1e-3)
    torch.testing.assert_close(found, plain(IDS).logits, rtol=1e-4, atol=1e-5)
    assert_same_bits(model, before)
    assert torch.equal(model(IDS).logits, untouched)


@pytest.mark.parametrize("family", list(PLACES))
def test_only_counted_tokens_are_ablated(family: str) -> None:
    """By hand, token by token: position 0, special tokens and sinks keep the neurons' activations."""
    means = {layer: np.linspace(-1, 2, len(neurons), dtype=np.float32) for layer, neurons in NEURONS.items()}
    model, plain = tiny(family), tiny(family)
    kept = torch.zeros(IDS.shape, dtype=torch.bool)
    kept[:, 0] = True
    kept[IDS == 250] = True  # a special token
    seen: list[Tensor] = []
    for layer, neurons in NEURONS.items():

        def hold(_module: nn.Module, args: tuple[Tensor], layer: int = layer, neurons: np.ndarray = neurons) -> Tensor:
            values = args[0].clone()
            for row in range(len(IDS)):
                for place in range(IDS.shape[1]):
                    if not kept[row, place]:
                        flat = values.reshape(*IDS.shape, -1)
                        flat[row, place, neurons] = torch.from_numpy(means[layer])
            seen.append(values)
            return values

        module(plain, family, layer, PLACES[family].down).register_forward_pre_hook(hold)
    wanted = plain(IDS).logits
    with mean_ablated(model, NEURONS, means, CountedTokens(model, [250])):
        found = model(IDS).logits
        again = model(IDS).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(found, again) and len(seen) == 2
    assert not any(part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize("family", list(PLACES))
def test_neurons_get_all_that_is_theirs_in_the_dense_model_and_nothing_else(family: str) -> None:
    dense = shifted_biases(tiny(family))
    model, wanted = tiny(family, seed=1), tiny(family, seed=1)
    kept = weights_of(dense, NEURONS)
    before, untouched = state(model), model(IDS).logits
    copy_by_hand(wanted, dense, family)
    with restored(model, NEURONS, kept):
        assert_same_bits(model, state(wanted))
        assert not torch.equal(model(IDS).logits, untouched)
    assert_same_bits(model, before)


def test_all_neurons_of_all_layers_and_the_rest_make_the_dense_model() -> None:
    """Pruned MLPs with every neuron given back are dense again."""
    dense, pruned = tiny("llama"), tiny("llama")
    everything = {layer: np.arange(64) for layer in range(2)}
    for layer in range(2):
        for name in ("gate_proj", "up_proj", "down_proj"):
            matrix(pruned, "llama", layer, name)[:, ::2] = 0
    with restored(pruned, everything, weights_of(dense, everything)):
        assert torch.equal(pruned(IDS).logits, dense(IDS).logits)
    assert not torch.equal(pruned(IDS).logits, dense(IDS).logits)


def test_a_half_precision_model_gets_its_own_bits_back() -> None:
    dense, pruned = tiny("llama"), tiny("llama", seed=1).to(torch.bfloat16)
    before = state(pruned)
    with restored(pruned, NEURONS, weights_of(dense, NEURONS)):
        own = matrix(pruned, "llama", 0, "up_proj")
        assert own.dtype == torch.bfloat16
        assert torch.equal(own[17], matrix(dense, "llama", 0, "up_proj")[17].to(torch.bfloat16))
    assert_same_bits(pruned, before)


@pytest.mark.parametrize("touch", ["hold", "give back"])
def test_a_failure_within_the_block_leaves_the_model_as_it_was(touch: str) -> None:
    model = tiny("llama", seed=1)
    before = state(model)
    means = {layer: np.ones(len(neurons), np.float32) for layer, neurons in NEURONS.items()}
    kept = weights_of(tiny("llama"), NEURONS)
    counted = CountedTokens(model, ())
    block = mean_ablated(model, NEURONS, means, counted) if touch == "hold" else restored(model, NEURONS, kept)
    with pytest.raises(KeyboardInterrupt), block:
        raise KeyboardInterrupt
    assert_same_bits(model, before)
    assert not any(found._forward_pre_hooks for found in model.modules())


def test_weights_that_were_not_kept_are_no_ones_to_give() -> None:
    model = tiny("llama", seed=1)
    before = state(model)
    kept = weights_of(tiny("llama"), NEURONS)
    with pytest.raises(KeyError), restored(model, {0: np.array([3]), 1: np.array([1])}, kept):
        pass
    assert_same_bits(model, before)
