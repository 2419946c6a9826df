"""The MLP among a layer's linears: by shapes, by the nonlinearity beside them, by the number of neurons."""

from types import MethodType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, BertConfig, XmodConfig
from transformers.activations import ACT2FN

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.nonlinearity import holds_nonlinearity


class Functional(nn.Module):
    def forward(self, inputs):
        return self.w2(functional.silu(self.w1(inputs)) * self.w3(inputs))


class ThroughMethod(nn.Module):
    def forward(self, inputs):
        return self.fc2(self.bent(self.fc1(inputs)))

    def bent(self, inputs):
        return inputs * inputs.sigmoid()


class ThroughLambda(nn.Module):
    def forward(self, inputs):
        return (lambda values: values.relu())(inputs)


def squared(inputs):
    return functional.relu(inputs).square()


class ThroughFunction(nn.Module):
    def forward(self, inputs):
        return squared(inputs)


class Own(nn.Module):
    """An activation of a model's own."""

    def forward(self, inputs):
        return inputs * torch.tanh(functional.softplus(inputs))


class Doubling(nn.Module):
    def forward(self, inputs):
        return 2 * inputs + 1


class Attention(nn.Module):
    def forward(self, inputs, mask):
        return functional.softmax(inputs + mask, dim=-1)


def holding(**attributes):
    module = nn.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def block(shapes, parent=None, **attributes):
    """A module with linears of [rows, columns]."""
    module = nn.Module() if parent is None else parent
    for name, (rows, columns) in shapes.items():
        setattr(module, name, nn.Linear(columns, rows))
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    "module",
    [
        *(holding(act=ACT2FN[name]) for name in ("gelu", "gelu_new", "silu", "relu2", "xielu", "quick_gelu", "tanh")),
        holding(act=nn.PReLU()),
        holding(act=nn.GELU()),
        holding(act=Own()),
        holding(activation_fn=functional.gelu),
        holding(activation_fn=torch.sigmoid),
        holding(activation_fn=squared),
        holding(act=ACT2FN["xielu"].to(torch.bfloat16)),
        holding(act=ACT2FN["xielu"].to("meta")),
        nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
        Functional(),
        ThroughMethod(),
        ThroughFunction(),
        ThroughLambda(),
    ],
    ids=repr,
)
def test_every_form_of_a_nonlinearity_is_seen(module):
    assert holds_nonlinearity(module)


@pytest.mark.parametrize(
    "module",
    [
        nn.Module(),
        Attention(),
        holding(dropout=nn.Dropout(0.5).train(), norm=nn.LayerNorm(7), softmax=nn.Softmax(dim=-1)),
        holding(same=nn.Identity(), double=Doubling(), linear=nn.Linear(7, 7), width=7, kind=nn.GELU),
        holding(embedding=nn.Embedding(8, 7), attention=nn.MultiheadAttention(7, 1), scale=lambda values: values / 2),
        holding(norm=nn.RMSNorm(7), normal=lambda values: values / values.norm()),
    ],
    ids=repr,
)
def test_what_is_no_elementwise_nonlinearity(module):
    assert not holds_nonlinearity(module)


def test_the_order_of_projections_does_not_matter():
    layer = nn.Module()
    layer.mlp = block({"w1": (24, 8), "w2": (8, 24), "w3": (24, 8)}, act=nn.SiLU())
    assert down_projection(layer) is layer.mlp.w2
    assert list(up_projections(layer)) == ["mlp.w1", "mlp.w3"]


def test_a_square_mlp_ends_with_the_linear_that_is_called_last():
    layer = nn.Module()
    layer.mlp = block({"w1": (8, 8), "w2": (8, 8), "w3": (8, 8)}, Functional())
    assert down_projection(layer) is layer.mlp.w2
    layer.mlp.to("meta")
    assert down_projection(layer) is layer.mlp.w2
    layer.mlp = block({"fc2": (8, 8), "fc1": (8, 8)}, ThroughMethod())
    assert down_projection(layer) is layer.mlp.fc2


def test_a_square_mlp_that_cannot_be_run_by_itself():
    layer = block({"fc1": (8, 8), "fc2": (8, 8)}, act=nn.ReLU())
    assert down_projection(layer) is layer.fc2
    layer = block({"a": (8, 8), "b": (8, 8), "c": (8, 8)}, act=nn.ReLU())
    with pytest.raises(UnsupportedModel, match=r"b, c with a and a, c with b and a, b with c could each be the MLP"):
        down_projection(layer)


def test_other_linears_are_no_mlp():
    layer = nn.Module()
    layer.mlp = block({"fc1": (24, 8), "fc2": (8, 24)}, act=nn.ReLU())
    layer.other = block({"a": (24, 8), "b": (24, 8), "c": (24, 8)}, act=nn.ReLU())
    layer.qkv = block({"in": (16, 8), "out": (8, 8)})  # as gate and up of 8 neurons
    layer.low_rank = block({"left": (48, 8), "right": (8, 48)})
    layer.self = block({"query": (8, 8), "key": (8, 8), "value": (8, 8)})
    assert down_projection(layer) is layer.mlp.fc2


@given(st.permutations(["mlp", "gate", "adapter"]), st.integers(2, 40), st.integers(1, 39))
def test_of_several_the_one_with_the_most_neurons(order, most, fewer):
    fewer = min(fewer, most - 1)
    layer = nn.Module()
    for name in order:
        layer.add_module(name, nn.Module())
    block({"gate_proj": (most, 8), "up_proj": (most, 8), "down_proj": (8, most)}, layer.mlp, act=nn.SiLU())
    block({"per_layer_input_gate": (fewer, 8), "per_layer_projection": (8, fewer)}, layer.gate, act=nn.GELU())
    block({"both": (2 * fewer, 8), "down": (8, fewer)}, layer.adapter, act=nn.GELU())
    if most != 8:
        assert down_projection(layer) is layer.mlp.down_proj


def test_two_that_nothing_decides_between_are_both_named():
    layer = nn.Module()
    for name in ("left", "right"):
        setattr(layer, name, block({"fc1": (24, 8), "fc2": (8, 24)}, act=nn.ReLU()))
    message = r"left\.fc1 with left\.fc2 and right\.fc1 with right\.fc2 could each be the MLP, all with 24 neurons"
    with pytest.raises(UnsupportedModel, match=message):
        down_projection(layer)


def test_the_nonlinearity_of_a_list_of_linears_stands_beside_the_list():
    layer = nn.Module()
    layer.mlp = holding(act=nn.ReLU(), linears=nn.ModuleList([nn.Linear(8, 24), nn.Linear(24, 8)]))
    assert down_projection(layer) is layer.mlp.linears[1]


def test_a_layer_without_an_mlp_is_named():
    layer = block({"only": (16, 8)})
    with pytest.raises(UnsupportedModel, match=r"no MLP found .* only \[16, 8\]"):
        down_projection(layer)
    layer = block({"query": (8, 8), "key": (8, 8), "value": (8, 8)})
    with pytest.raises(UnsupportedModel, match=r"no MLP found .* a nonlinearity beside them\) among query \[8, 8\]"):
        down_projection(layer)


BERT = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**BERT, is_decoder=True),
        # An adapter beside the MLP.
        XmodConfig(**BERT, is_decoder=True, default_language="en_XX", languages=["en_XX"], adapter_reduction_factor=2),
    ],
    ids=lambda config: config.model_type,
)
def test_bert_has_its_mlp_in_two_modules(config):
    layer = decoder_layers(AutoModelForCausalLM.from_config(config))[1]
    assert down_projection(layer) is layer.output.dense
    assert list(up_projections(layer)) == ["intermediate.dense"]


def test_a_patched_forward_is_no_reason_to_fail():
    layer = nn.Module()
    layer.mlp = block({"w1": (24, 8), "w2": (8, 24), "w3": (24, 8)}, Functional())
    layer.mlp.forward = MethodType(lambda self, inputs: inputs, layer.mlp)
    assert down_projection(layer) is layer.mlp.w2
