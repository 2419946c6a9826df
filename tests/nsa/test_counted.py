"""The counted tokens of a forward pass: found in the model without an intervention, and kept."""

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers
from prunescope.nsa.counted import CountedTokens
from prunescope.nsa.interventions import mean_ablated
from tests.models import tiny

IDS = torch.tensor([[0, 7, 100, 33, 250, 4, 9], [0, 5, 5, 299, 12, 80, 81]])


def mask_of(model: PreTrainedModel, counted: CountedTokens, ids: Tensor = IDS) -> list[list[bool]]:
    with counted.following():
        model(ids)
    assert counted.mask is not None
    return counted.mask.tolist()


def test_position_0_and_special_tokens_are_not_counted_unless_asked() -> None:
    model = tiny("llama")
    usual = mask_of(model, CountedTokens(model, [12, 250]))
    assert usual == [[False, True, True, True, False, True, True], [False, True, True, True, False, True, True]]
    assert mask_of(model, CountedTokens(model, [12], count_special=True)) == [[False] + [True] * 6] * 2
    assert mask_of(model, CountedTokens(model, [0], count_special=True, count_sinks=True)) == [[True] * 7] * 2
    assert mask_of(model, CountedTokens(model, [0], count_sinks=True)) == [[False] + [True] * 6] * 2


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2", "gpt_neox", "phi3"])
def test_a_token_with_a_massive_hidden_state_is_not_counted(family: str) -> None:
    """The embedding of token 33 makes the first layer's output massive there."""
    model = tiny(family)
    first = decoder_layers(model)[0]

    def massive(_module: nn.Module, _args: object, output: Tensor | tuple[Tensor, ...]) -> object:
        hidden = output if isinstance(output, Tensor) else output[0]
        changed = hidden.clone()
        changed.view(*IDS.shape, -1)[0, 3, 5] = 1e5
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    handle = first.register_forward_hook(massive)
    wanted = [[False] + [True] * 6 for _ in range(2)]
    wanted[0][3] = False
    assert mask_of(model, CountedTokens(model, ())) == wanted
    assert mask_of(model, CountedTokens(model, (), count_sinks=True)) == [[True] * 7] * 2
    handle.remove()


def test_sinks_are_those_of_the_model_without_an_intervention() -> None:
    """Ablation with a huge mean would make every token a sink of the next layer."""
    import numpy as np

    model = tiny("llama")
    counted = CountedTokens(model, ())
    with mean_ablated(model, {0: np.arange(64)}, {0: np.full(64, 1e6, np.float32)}, counted):
        model(IDS)
        assert counted.mask is not None and counted.mask[:, 1:].all()
        model(IDS)
        assert counted.mask[:, 1:].all() and not counted.mask[:, 0].any()


def test_other_position_ids_are_other_texts() -> None:
    model = tiny("llama")
    counted = CountedTokens(model, ())
    with counted.following():
        for positions in (torch.arange(7), torch.tensor([0, 1, 2, 3, 2, 3, 4])):
            model(input_ids=IDS, position_ids=positions.expand(2, -1))
    assert len(counted._known) == 2


def test_a_failing_pass_leaves_no_hooks() -> None:
    model = tiny("llama")
    counted = CountedTokens(model, ())
    with pytest.raises(IndexError), counted.following():
        model(torch.tensor([[0, 10**6]]))
    assert not any(part._forward_pre_hooks for part in model.modules())
