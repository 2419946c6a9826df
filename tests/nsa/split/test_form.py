"""Forms of MLPs against the models' own activations."""

import pytest
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections
from prunescope.lm.hooks import record_inputs
from prunescope.nsa.split.form import find_form, input_width, parts_of
from tests.models import DECODERS, HIDDEN, NEURONS, tiny

IDS = torch.tensor([[0, 40, 41, 42, 43, 60, 61]])


def seen(model: nn.Module, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The MLP's inputs [tokens, hidden] and its neurons' activations [neurons, tokens]."""
    module = decoder_layers(model)[layer]
    found: dict[str, torch.Tensor] = {}
    modules = {"inputs": next(iter(up_projections(module).values())), "activations": down_projection(module)}
    with torch.no_grad(), record_inputs(modules, lambda key, values: found.__setitem__(key, values.reshape(7, -1))):
        model(IDS)
    return found["inputs"], found["activations"].T


@pytest.mark.parametrize("family", DECODERS)
def test_a_form_computes_the_models_own_activations(family: str) -> None:
    model = tiny(family)
    for layer in range(2):
        module = decoder_layers(model)[layer]
        inputs, activations = seen(model, layer)
        form = find_form(module, inputs, activations)
        assert form is not None
        parts = parts_of(module, slice(3, 9), torch.device("cpu"), torch.float32)
        torch.testing.assert_close(form.activations(parts, inputs), activations[3:9], rtol=1e-4, atol=1e-5)
        assert input_width(module) == inputs.shape[1]


def test_names_of_matrices() -> None:
    expected = {"llama": ("gate", "up"), "phi3": ("gate", "up"), "opt": ("up",)}
    for family, names in expected.items():
        model = tiny(family)
        form = find_form(decoder_layers(model)[0], *seen(model, 0))
        assert form is not None
        assert form.names == names


@pytest.mark.parametrize("scale", [0.5, 1.05])
def test_activations_that_are_something_else_have_no_form(scale: float) -> None:
    model = tiny("llama")
    inputs, activations = seen(model, 0)
    assert find_form(decoder_layers(model)[0], inputs, scale * activations) is None


def test_rows_are_rounded_to_the_type_in_which_the_model_computes() -> None:
    layer = decoder_layers(tiny("llama"))[0]
    device = torch.device("cpu")
    exact = parts_of(layer, slice(0, NEURONS), device, torch.float32)[0][0]
    rounded = parts_of(layer, slice(0, NEURONS), device, torch.bfloat16)[0][0]
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact.bfloat16().float())
    assert not torch.equal(rounded, exact)


def test_silent_neurons_have_a_form() -> None:
    layer = decoder_layers(tiny("opt"))[0]
    for module in up_projections(layer).values():
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    assert find_form(layer, torch.ones(2, HIDDEN), torch.zeros(NEURONS, 2)) is not None
