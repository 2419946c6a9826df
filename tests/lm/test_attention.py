"""The output projection of the attention is found in every shape of decoder that is known."""

import pytest
import torch

from prunescope.lm.architecture import decoder_layers, up_projections, weight_view
from prunescope.lm.attention import attention_before_mlp, attention_outputs
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.hooks import change_inputs, record_inputs
from tests.models import DECODERS, LAYERS, tiny

NAMES = {
    "opt": "out_proj",
    "opt_post_norm": "out_proj",
    "gpt2": "c_proj",
    "gpt1": "c_proj",
    "gpt_neox": "dense",
    "gpt_neox_serial": "dense",
    "gpt_neo": "out_proj",
    "falcon": "dense",
    "falcon_new": "dense",
    "falcon_alibi": "dense",
    "bloom": "dense",
}


@pytest.mark.parametrize("family", DECODERS)
def test_the_output_projection_is_found(family: str) -> None:
    model = tiny(family)
    found, heads = attention_outputs(model)
    names = {module: name for name, module in model.named_modules()}
    assert len(found) == LAYERS and heads == 4
    assert {names[module].rpartition(".")[2] for module in found} == {NAMES.get(family, "o_proj")}
    assert all("attn" in names[module] or "attention" in names[module] for module in found)
    assert {weight_view(module).shape[1] % heads for module in found} == {0}


def test_a_model_without_such_a_projection_says_so() -> None:
    model = tiny("llama")
    model.config.num_attention_heads = 5  # 32 input features are not five heads
    with pytest.raises(UnsupportedModel, match="no attention output projection"):
        attention_outputs(model)


PARALLEL = {"gpt_neox", "falcon", "falcon_new", "cohere"}


@pytest.mark.parametrize("family", DECODERS)
def test_whether_the_mlp_reads_the_attention_of_its_layer(family: str) -> None:
    model = tiny(family)
    outputs, _ = attention_outputs(model)
    found = attention_before_mlp(model, outputs)
    assert not any(module._forward_pre_hooks for module in model.modules())

    ids = torch.tensor([[5, 40, 41]])
    for number, layer in enumerate(decoder_layers(model)):
        seen: list[torch.Tensor] = []
        first = next(iter(up_projections(layer).values()))
        for changed in ({}, {0: outputs[number]}):
            with (
                torch.no_grad(),
                record_inputs({0: first}, lambda _key, values, seen=seen: seen.append(values)),
                change_inputs(changed, lambda _key, values: values + 1),
            ):
                model(ids)
        assert found[number] == (not torch.equal(*seen))
    if family in PARALLEL:
        assert found == [False, False]
