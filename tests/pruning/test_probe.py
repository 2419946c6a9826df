"""What the walk assumes of hidden states and layers is tried before any work, and refused by name where it fails."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, Gemma3nTextConfig

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.layer_calls import Call, hidden_state, in_the_form_of, split_call
from prunescope.pruning.allocation import OWL
from prunescope.pruning.patterns import Unstructured
from prunescope.pruning.walk import prune
from tests.models import HIDDEN, tiny

WINDOWS = torch.randint(2, 300, (5, 24), generator=torch.Generator().manual_seed(2))


class Untouched:
    """A keeper that nothing may reach."""

    def plan(self):
        return None

    def begin(self, plan):
        raise AssertionError("the walk began")

    restore = keep = begin


def refused(model, message, **more):
    dense = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(UnsupportedModel, match=message):
        prune(model, "sparsegpt", Unstructured(0.5), WINDOWS, keeper=Untouched(), **more)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), dense, strict=True))
    assert not any("forward" in layer.__dict__ for layer in decoder_layers(model))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("samples", [4, 5])
@pytest.mark.parametrize("allocation", [{}, {"allocation": OWL()}], ids=["uniform", "owl"])
def test_a_hidden_state_of_four_axes(samples, allocation):
    config = Gemma3nTextConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=300,
        laurel_rank=4,
        num_kv_shared_layers=0,
        layer_types=["sliding_attention", "full_attention"],
        activation_sparsity_pattern=[0.0, 0.0],
        pad_token_id=0,
    )
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    message = r"^Gemma3nForCausalLM: Gemma3nTextDecoderLayer is called with a hidden state of shape \[4, 1, 2, 16\]"
    refused(model, message, **allocation)
    assert all(matrix.sparsity >= 0.5 for matrix in prune(model, "magnitude", Unstructured(0.5), None)[0].matrices)


class Changed(nn.Module):
    """A layer around another whose output is changed."""

    def __init__(self, layer, change):
        super().__init__()
        self.layer, self.change = layer, change
        self.attention_type = "full_attention"

    def forward(self, hidden_states, **kwargs):
        return self.change(self.layer(hidden_states, **kwargs))


def changed(change):
    model = tiny("llama")
    model.model.layers = nn.ModuleList([Changed(layer, change) for layer in model.model.layers])
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda hidden: hidden[:, :1],
            r"Changed returns a hidden state of shape \[1, 1, 32\] for 1 window of 2 tokens",
        ),
        (lambda hidden: hidden.unsqueeze(0), r"Changed returns a hidden state of shape \[1, 1, 2, 32\]"),
        (lambda hidden: {"hidden": hidden}, "LlamaForCausalLM: Changed returns dict: a hidden state"),
        (lambda hidden: [], "Changed returns a list of nothing: a hidden state"),
        (lambda hidden: ("no", hidden), "Changed returns a tuple of str, Tensor: a hidden state"),
    ],
    ids=range(5),
)
def test_a_layer_that_gives_something_else(change, message):
    refused(changed(change), message)


def test_a_model_that_does_something_between_its_layers():
    model = tiny("llama")

    def forward(input_ids, use_cache):
        hidden = model.model.embed_tokens(input_ids)
        rotation = model.model.rotary_emb(hidden, torch.arange(input_ids.shape[1])[None])
        for layer in model.model.layers:
            hidden = layer(hidden, position_embeddings=rotation) * 0.5
        return hidden

    model.forward = forward
    with pytest.raises(UnsupportedModel, match="between layer 0 and layer 1 the model changes the hidden state"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, keeper=Untouched())


def test_a_layer_whose_other_arguments_come_from_the_one_before():
    model = tiny("llama")

    def forward(input_ids, use_cache):
        hidden, before = model.model.embed_tokens(input_ids), None
        rotation = model.model.rotary_emb(hidden, torch.arange(input_ids.shape[1])[None])
        for layer in model.model.layers:
            hidden = layer(hidden, position_embeddings=rotation, residual=before)
            before = hidden * 2
        return hidden

    model.forward = forward
    with pytest.raises(UnsupportedModel, match="argument residual of layer 1 depends on what layer 0 computes"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, keeper=Untouched())


def test_a_model_that_cannot_read_two_tokens():
    model = tiny("llama")

    def forward(input_ids, use_cache):
        raise ValueError("give pixels\ntoo")

    model.forward = forward
    with pytest.raises(
        UnsupportedModel, match=r"LlamaForCausalLM cannot be run on two tokens of text \(give pixels\): it"
    ):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, keeper=Untouched())


def test_layers_in_every_form():
    hidden = torch.ones(1, 2, HIDDEN)
    for output in (hidden, (hidden,), (hidden, None, 3), [hidden], [hidden, hidden]):
        assert hidden_state(output) is hidden
        again = in_the_form_of(output, hidden)
        assert type(again) is type(output) and hidden_state(again) is hidden
        if output is not hidden:
            assert len(again) == len(output) and all(one is None for one in again[1:])
    layer = nn.Linear(2, 2)
    assert split_call(layer, (hidden, 3), {"a": 1}) == (hidden, Call((3,), {"a": 1}))
    assert split_call(layer, (), {"hidden_states": hidden, "a": 1}) == (hidden, Call((), {"a": 1}))
    for args, kwargs in (((3,), {}), ((), {"states": hidden})):
        with pytest.raises(UnsupportedModel, match="Linear is not called with a hidden state"):
            split_call(layer, args, kwargs)
