"""Finds the output projection of every layer's attention by structure and by the order of calls, not by names, and
whether the MLP of the same layer reads what it writes.

The input of the output projection is the concatenation of the heads' outputs. Its layer has it in a module of its own,
together with the query, key and value projections (one fused linear or several), and calls it last of them.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, linears, up_projections, weight_view
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.hooks import change_inputs, record_inputs


def attention_outputs(model: PreTrainedModel) -> tuple[list[nn.Module], int]:
    """Return (the output projection of every layer's attention, number of heads). The input features of head h are
    those from h * width on, where width is the number of input features divided by the number of heads.

    Runs the model on three tokens. Raises UnsupportedModel when a layer has no such projection, or when the layers
    differ in their number of input features.
    """
    layers = decoder_layers(model)
    kind = type(model).__name__
    heads = getattr(model.config.get_text_config(decoder=True), "num_attention_heads", None)
    if not isinstance(heads, int) or heads < 1:
        raise UnsupportedModel(f"{kind}: its config has no number of attention heads")
    name = _output_name(model, layers[0], heads)
    found = [linears(layer).get(name) for layer in layers]
    widths = {weight_view(module).shape[1] for module in found if module is not None}
    if None in found or len(widths) != 1:
        raise UnsupportedModel(f"{kind}: its layers have different attention outputs ({name})")
    return cast(list[nn.Module], found), heads


def attention_before_mlp(model: PreTrainedModel, outputs: Sequence[nn.Module]) -> list[bool]:
    """Return for every layer whether its MLP reads what its attention writes; not so where both are computed from the
    same hidden states (a parallel layer, as in GPT-NeoX). `outputs` are those of `attention_outputs`.

    Runs the model on three tokens. A zero that requires gradients is added to the input of every output projection; a
    layer's MLP reads what its attention writes if its input has a gradient with respect to that layer's zero.
    """
    layers = decoder_layers(model)
    firsts = {number: next(iter(up_projections(layer).values())) for number, layer in enumerate(layers)}
    zeros: dict[int, Tensor] = {}
    found = [False] * len(layers)

    def add_zero(layer: int, values: Tensor) -> Tensor:
        zeros[layer] = torch.zeros_like(values, requires_grad=True)
        return values + zeros[layer]

    def see(layer: int, values: Tensor) -> None:
        if layer in zeros and values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), zeros[layer], retain_graph=True, allow_unused=True)
            found[layer] = gradient is not None

    ids = torch.zeros(1, 3, dtype=torch.long, device=model.device)
    with torch.enable_grad(), change_inputs(dict(enumerate(outputs)), add_zero), record_inputs(firsts, see):
        model.base_model(input_ids=ids, use_cache=False)
    return found


def _output_name(model: PreTrainedModel, layer: nn.Module, heads: int) -> str:
    """The name, within the layer, of the attention's output projection."""
    found = linears(layer)
    mlp = {down_projection(layer), *up_projections(layer).values()}
    hidden = weight_view(down_projection(layer)).shape[0]
    others = {name: module for name, module in found.items() if module not in mlp and "." in name}
    called: list[str] = []
    ids = torch.zeros(1, 3, dtype=torch.long, device=model.device)
    with torch.no_grad(), record_inputs(others, lambda name, _: called.append(name)):
        model.base_model(input_ids=ids, use_cache=False)
    last: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name in called:
        parent = name.rpartition(".")[0]
        last[parent], counts[parent] = name, counts.get(parent, 0) + 1
    fitting = [
        name
        for parent, name in last.items()
        if counts[parent] > 1
        and weight_view(others[name]).shape[0] == hidden
        and weight_view(others[name]).shape[1] % heads == 0
    ]
    widest = max((weight_view(others[name]).shape[1] for name in fitting), default=0)
    widest_named = [name for name in fitting if weight_view(others[name]).shape[1] == widest]
    if len(widest_named) != 1:
        raise UnsupportedModel(
            f"{type(layer).__name__}: no attention output projection was found among {', '.join(others) or 'nothing'}"
        )
    return widest_named[0]
