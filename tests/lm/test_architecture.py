import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    MambaConfig,
    MixtralConfig,
    Qwen3MoeConfig,
    RwkvConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from prunescope.lm.architecture import (
    context_length,
    decoder_layers,
    down_projection,
    layers_path,
    linears,
    neuron_count,
    up_projections,
    weight_view,
)
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.hooks import record_inputs
from tests.models import CONTEXT, DECODERS, HIDDEN, LAYERS, NEURONS, tiny

GATED = (["mlp.gate_proj", "mlp.up_proj"], "mlp.down_proj", 7)
FUSED_ATTENTION = (["mlp.dense_h_to_4h"], "mlp.dense_4h_to_h", 4)
# Where the layers lie, the MLP's first linears and its last, and how many linears a layer has.
WHERE = {
    "llama": ("model.layers", *GATED),
    "llama3": ("model.layers", *GATED),
    "mistral": ("model.layers", *GATED),
    "qwen2": ("model.layers", *GATED),
    "qwen3": ("model.layers", *GATED),
    "gemma2": ("model.layers", *GATED),
    "gemma3": ("model.layers", *GATED),
    "gemma3_pictures": ("model.language_model.layers", *GATED),
    "phi3": ("model.layers", ["mlp.gate_up_proj"], "mlp.down_proj", 4),
    "opt": ("model.decoder.layers", ["fc1"], "fc2", 6),
    "opt_post_norm": ("model.decoder.layers", ["fc1"], "fc2", 6),
    "gpt2": ("transformer.h", ["mlp.c_fc"], "mlp.c_proj", 4),
    "gpt_neo": ("transformer.h", ["mlp.c_fc"], "mlp.c_proj", 6),
    "gpt_neox": ("gpt_neox.layers", *FUSED_ATTENTION),
    "gpt_neox_serial": ("gpt_neox.layers", *FUSED_ATTENTION),
    "falcon": ("transformer.h", *FUSED_ATTENTION),
    "falcon_new": ("transformer.h", *FUSED_ATTENTION),
    "falcon_alibi": ("transformer.h", *FUSED_ATTENTION),
    "bloom": ("transformer.h", *FUSED_ATTENTION),
    "cohere": ("model.layers", *GATED),
    "gemma4": ("model.layers", ["mlp.gate_proj", "mlp.up_proj"], "mlp.down_proj", 9),
    "gpt1": ("transformer.h", ["mlp.c_fc"], "mlp.c_proj", 4),
}


@pytest.mark.parametrize("family", DECODERS)
def test_layers_linears_and_mlp_of_every_family(family):
    model = tiny(family)
    path, up, down, count = WHERE[family]
    assert layers_path(model) == path
    assert len(decoder_layers(model)) == LAYERS
    assert context_length(model) == (2048 if family == "bloom" else CONTEXT)
    assert neuron_count(model) == NEURONS
    for layer in decoder_layers(model):
        found = linears(layer)
        assert len(found) == count
        norms = {id(value) for name, value in layer.named_parameters() if "norm" in name}
        matrices = {id(value) for value in layer.parameters() if value.dim() > 1} - norms
        assert {id(module.weight) for module in found.values()} == matrices
        assert down_projection(layer) is layer.get_submodule(down)
        hidden = HIDDEN // 2 if family in ("bloom", "gpt1") else HIDDEN
        assert weight_view(down_projection(layer)).shape == (hidden, NEURONS)
        assert list(up_projections(layer)) == up
        in_one = 2 if family == "phi3" else 1
        for module in up_projections(layer).values():
            assert weight_view(module).shape == (in_one * NEURONS, hidden)


@pytest.mark.parametrize("family", DECODERS)
def test_weight_view_computes_the_linear_and_writes_through(family):
    layer = decoder_layers(tiny(family))[0]
    for module in linears(layer).values():
        weight = weight_view(module)
        inputs = torch.randn(3, weight.shape[1])
        bias = 0 if module.bias is None else module.bias
        torch.testing.assert_close(module(inputs), inputs @ weight.T + bias)
        weight.zero_()
        assert not module.weight.any()


@pytest.mark.parametrize("family", DECODERS)
def test_the_rows_of_up_projections_are_the_neurons(family):
    """Without its rows a neuron's activation does not depend on the text, and no other neuron's changes."""
    model = tiny(family)
    layer = decoder_layers(model)[0]
    ids = torch.randint(2, 300, (2, 9), generator=torch.Generator().manual_seed(0))

    def activations():
        seen = []
        with record_inputs({0: down_projection(layer)}, lambda _, tensor: seen.append(tensor.reshape(-1, NEURONS))):
            model(ids, use_cache=False)
        return seen[0]

    before = activations()
    for module in up_projections(layer).values():
        weight = weight_view(module)
        weight.view(-1, NEURONS, weight.shape[1])[:, 17] = 0
        if module.bias is not None:
            module.bias.view(-1, NEURONS)[:, 17] = 0
    after = activations()
    others = torch.arange(NEURONS) != 17
    assert torch.equal(after[:, others], before[:, others])
    assert not after[:, 17].any() and before[:, 17].any()


def test_layers_of_different_width_have_no_neuron_count():
    model = tiny("llama")
    first = decoder_layers(model)[0].mlp
    first.gate_proj, first.up_proj, first.down_proj = nn.Linear(32, 48), nn.Linear(32, 48), nn.Linear(48, 32)
    with pytest.raises(UnsupportedModel, match=r"\[48, 64\]"):
        neuron_count(model)


SMALL = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 24}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            MixtralConfig(**SMALL, **HEADS, num_local_experts=3),
            r"mlp\.experts\.gate_up_proj \[3, 48, 16\] in MixtralDecoderLayer: the weights of 3 experts fused into one "
            r"tensor \(mixture of experts\) cannot be handled; give a dense model",
        ),
        (
            Qwen3MoeConfig(**SMALL, **HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8, head_dim=8),
            r"mlp\.experts\.gate_up_proj \[4, 16, 16\] in Qwen3MoeDecoderLayer: the weights of 4 experts",
        ),
        (
            MambaConfig(**SMALL, state_size=4),
            r"mixer\.A_log \[32, 4\] in MambaBlock: weights outside of a linear layer \(a state space, .* cannot be "
            r"handled; give a model whose layers are attention and MLP",
        ),
        (RwkvConfig(**SMALL), r"attention\.time_mix_key \[1, 1, 16\] in RwkvBlock: weights outside of a linear"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
@pytest.mark.filterwarnings("ignore")  # transformers misses the fast kernels of some
def test_what_is_not_in_linears_is_named_not_skipped(config, message):
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UnsupportedModel, match=message):
        linears(decoder_layers(model)[0])


def test_a_model_with_an_encoder_is_refused():
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=32, d_model=16, d_ff=24, d_kv=8, num_layers=2, num_decoder_layers=3, num_heads=2)
    )
    with pytest.raises(UnsupportedModel, match=r"an encoder beside its decoder \(encoder\.block, decoder\.block\)"):
        layers_path(model)


def test_two_stacks_of_layers_are_refused():
    model = tiny("llama")
    model.extra = nn.ModuleList([nn.Linear(4, 4) for _ in range(LAYERS)])
    with pytest.raises(UnsupportedModel, match=r"not one list of modules \(found: model\.layers, extra\)"):
        layers_path(model)


def test_a_second_list_of_linears_is_told_apart_by_its_length():
    model = tiny("llama")
    model.extra = nn.ModuleList([nn.Linear(4, 4) for _ in range(LAYERS + 1)])
    assert layers_path(model) == "model.layers"


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
