import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    MixtralConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from lm.architecture import (
    context_length,
    decoder_layers,
    down_projection,
    layers_path,
    linears,
    neuron_count,
    up_projections,
    weight_view,
)
from lm.errors import UnsupportedModel
from lm.hooks import record_inputs
from tests.models import CONTEXT, FAMILIES, HIDDEN, LAYERS, NEURONS, tiny

PATHS = {
    "llama": "model.layers",
    "mistral": "model.layers",
    "qwen2": "model.layers",
    "opt": "model.decoder.layers",
    "gpt2": "transformer.h",
    "gpt_neox": "gpt_neox.layers",
    "gpt_neo": "transformer.h",
}
GATED = (["mlp.gate_proj", "mlp.up_proj"], "mlp.down_proj", 7)
MLPS = {
    "llama": GATED,
    "mistral": GATED,
    "qwen2": GATED,
    "opt": (["fc1"], "fc2", 6),
    "gpt2": (["mlp.c_fc"], "mlp.c_proj", 4),
    "gpt_neox": (["mlp.dense_h_to_4h"], "mlp.dense_4h_to_h", 4),
    "gpt_neo": (["mlp.c_fc"], "mlp.c_proj", 6),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_linears_and_mlp_of_every_family(family):
    model = tiny(family)
    up, down, count = MLPS[family]
    assert layers_path(model) == PATHS[family]
    assert len(decoder_layers(model)) == LAYERS
    assert context_length(model) == CONTEXT
    assert neuron_count(model) == NEURONS
    for layer in decoder_layers(model):
        assert len(linears(layer)) == count
        assert down_projection(layer) is layer.get_submodule(down)
        assert weight_view(down_projection(layer)).shape == (HIDDEN, NEURONS)
        assert list(up_projections(layer)) == up
        assert all(weight_view(module).shape == (NEURONS, HIDDEN) for module in up_projections(layer).values())


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_view_computes_the_linear_and_writes_through(family):
    layer = decoder_layers(tiny(family))[0]
    for module in linears(layer).values():
        weight = weight_view(module)
        inputs = torch.randn(3, weight.shape[1])
        bias = 0 if module.bias is None else module.bias
        torch.testing.assert_close(module(inputs), inputs @ weight.T + bias)
        weight.zero_()
        assert not module.weight.any()


def test_the_order_of_projections_does_not_matter():
    layer = nn.Module()
    layer.mlp = nn.Module()
    for name, shape in {"w1": (8, 24), "w2": (24, 8), "w3": (8, 24)}.items():
        setattr(layer.mlp, name, nn.Linear(*shape))
    assert down_projection(layer) is layer.mlp.w2
    assert list(up_projections(layer)) == ["mlp.w1", "mlp.w3"]


def test_an_mlp_as_wide_as_the_hidden_state_ends_with_its_last_linear():
    layer = nn.Module()
    layer.fc1, layer.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
    assert down_projection(layer) is layer.fc2


def test_three_linears_of_other_shapes_are_no_mlp():
    layer = nn.Module()
    layer.mlp, layer.other = nn.Module(), nn.Module()
    layer.mlp.fc1, layer.mlp.fc2 = nn.Linear(8, 24), nn.Linear(24, 8)
    layer.other.a, layer.other.b, layer.other.c = nn.Linear(8, 24), nn.Linear(8, 24), nn.Linear(8, 24)
    assert down_projection(layer) is layer.mlp.fc2


def test_a_layer_without_an_mlp_is_named():
    layer = nn.Module()
    layer.only = nn.Linear(8, 16)
    with pytest.raises(UnsupportedModel, match=r"no MLP found .* only \[16, 8\]"):
        down_projection(layer)


def test_layers_of_different_width_have_no_neuron_count():
    model = tiny("llama")
    first = decoder_layers(model)[0].mlp
    first.gate_proj, first.up_proj, first.down_proj = nn.Linear(32, 48), nn.Linear(32, 48), nn.Linear(48, 32)
    with pytest.raises(UnsupportedModel, match=r"\[48, 64\]"):
        neuron_count(model)


def test_fused_experts_are_named_not_skipped():
    model = AutoModelForCausalLM.from_config(
        MixtralConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            num_local_experts=2,
        )
    )
    with pytest.raises(UnsupportedModel, match=r"mlp\.\S+ .* outside of a linear"):
        linears(decoder_layers(model)[0])


def test_two_stacks_of_layers_are_refused():
    model = T5ForConditionalGeneration(T5Config(vocab_size=32, d_model=16, d_ff=24, d_kv=8, num_layers=2, num_heads=2))
    with pytest.raises(UnsupportedModel, match=r"encoder\.block, decoder\.block"):
        layers_path(model)


def test_a_second_list_of_linears_is_told_apart_by_its_length():
    model = tiny("llama")
    model.extra = nn.ModuleList([nn.Linear(4, 4) for _ in range(LAYERS + 1)])
    assert layers_path(model) == "model.layers"


def test_a_family_that_no_list_here_names_and_without_a_longest_position():
    model = AutoModelForCausalLM.from_config(BloomConfig(vocab_size=32, hidden_size=16, n_layer=2, n_head=2))
    assert layers_path(model) == "transformer.h"
    assert list(up_projections(decoder_layers(model)[0])) == ["mlp.dense_h_to_4h"]
    assert (neuron_count(model), context_length(model)) == (64, 2048)


def test_recording_stops_and_cleans_up():
    model = tiny("gpt2")
    layers = dict(enumerate(down_projection(layer) for layer in decoder_layers(model)))
    seen = []

    def receive(key, tensor):
        seen.append((key, tuple(tensor.shape)))
        if key == 1:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"), record_inputs(layers, receive):
        model(torch.arange(6).view(2, 3))
    assert seen == [(0, (2, 3, NEURONS)), (1, (2, 3, NEURONS))]
    model(torch.arange(6).view(2, 3))
    assert len(seen) == 2


def test_recording_sees_keyword_inputs():
    linear = nn.Linear(2, 3)
    seen = []
    with record_inputs({"a": linear}, lambda key, tensor: seen.append((key, tensor))):
        linear(input=torch.ones(1, 2))
    assert seen[0][0] == "a" and torch.equal(seen[0][1], torch.ones(1, 2))
