"""Errors about non-finite numbers: the first module, and the advice."""

import pytest
import torch

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.finite import not_finite
from tests.models import DECODERS, tiny

IDS = torch.arange(2, 9)


@pytest.mark.parametrize("family", DECODERS)
def test_the_first_layer_whose_numbers_are_not_finite_is_named(family: str) -> None:
    model = tiny(family)
    for weight in decoder_layers(model)[1].parameters():
        weight.fill_(float("nan"))
    said = str(not_finite("row 3", model, IDS, "mine"))
    assert said.startswith("row 3: mine gives no finite number, not finite from layer 1 on; its weight ")
    assert "the checkpoint is damaged" in said and "float32" not in said


def test_float32_is_advised_where_it_is_not_in_use() -> None:
    model = tiny("llama")
    model.lm_head.weight.mul_(1e38)
    said = str(not_finite("window 1", model, IDS))
    assert "LlamaForCausalLM gives" in said and "first in its logits; its weights are finite, but" in said
    assert "--dtype" not in said
    half = str(not_finite("window 1", tiny("llama").to(torch.bfloat16), IDS))
    assert half.endswith("its weights are finite in bfloat16: compute in float32 (--dtype float32)")
