"""Finds the decoder layers, linears and MLP of a decoder-only language model by structure, not by class names.

decoder layers    the only list of modules with linears whose length is the config's number of layers
linears           nn.Linear, or GPT-2's Conv1D, whose weight is stored transposed
MLP               found by its shapes and its nonlinearity (`lm.mlp`)
"""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.mlp import MLP, find_mlp
from prunescope.lm.norms import is_norm
from prunescope.lm.positions import longest_text


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the model's decoder layers, in order. Raises UnsupportedModel when there is not exactly one list of
    them."""
    return cast(nn.ModuleList, model.get_submodule(layers_path(model)))


def layers_path(model: PreTrainedModel) -> str:
    """Return the module path of the decoder layers, such as "model.layers", "transformer.h", "model.decoder.layers" or
    "gpt_neox.layers". Raises UnsupportedModel when there is not exactly one list of them."""
    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and all(_holds_linear(layer) for layer in module)
    ]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            f"{type(model).__name__} has an encoder beside its decoder ({', '.join(outermost)}): "
            f"only models that are one stack of decoder layers can be handled"
        )
    expected = getattr(_text_config(model), "num_hidden_layers", None)
    if len(outermost) > 1:
        outermost = [name for name in outermost if len(cast(nn.ModuleList, model.get_submodule(name))) == expected]
    if len(outermost) != 1:
        raise UnsupportedModel(
            f"{type(model).__name__}: the decoder layers are not one list of modules (found: "
            f"{', '.join(outermost or lists) or 'none'}); a decoder-only language model is needed"
        )
    return str(outermost[0])


def linears(layer: nn.Module) -> dict[str, nn.Module]:
    """Return the linears of one decoder layer, name within the layer -> module, in order.

    Raises UnsupportedModel, naming the largest, for weight matrices outside linears (fused experts, a state space, a
    convolution). If they were ignored, less would be pruned than requested. Weights of norms are allowed, also with two
    axes (Cohere's [heads, width]).
    """
    found: dict[str, nn.Module] = {}
    others: list[tuple[str, Tensor]] = []
    for name, module in layer.named_modules():
        if _is_linear(module):
            found[name] = module
        elif not isinstance(module, nn.Embedding):
            others += [(f"{name}.{own}", value) for own, value in module.named_parameters(recurse=False)]
    matrices = [
        (name.lstrip("."), value)
        for name, value in others
        if value.dim() > 1 and not is_norm(layer.get_submodule(name.rpartition(".")[0].lstrip(".")))
    ]
    if matrices:
        raise UnsupportedModel(_not_in_linears(layer, *max(matrices, key=lambda matrix: matrix[1].numel())))
    return found


def weight_view(module: nn.Module) -> Float[Tensor, "rows columns"]:
    """Return a detached view of the linear's weight as [out_features, in_features]; writing into the view changes the
    weight."""
    weight = cast(Tensor, module.weight).detach()
    return weight.T if isinstance(module, Conv1D) else weight


def down_projection(layer: nn.Module) -> nn.Module:
    """Return the MLP's last linear, whose input features are the neurons. Raises UnsupportedModel when no MLP is
    found."""
    return linears(layer)[_mlp(layer).down]


def up_projections(layer: nn.Module) -> dict[str, nn.Module]:
    """Return the MLP's first linears (gate and up, or fc1), name within the layer -> module. Each has one weight row
    per neuron.

    A fused gate-and-up linear has twice as many rows: first the gate rows of all neurons, then their up rows. Raises
    UnsupportedModel when no MLP is found.
    """
    found = linears(layer)
    return {name: found[name] for name in _mlp(layer).first}


def neuron_count(model: PreTrainedModel) -> int:
    """Return the number of MLP neurons of one decoder layer. Raises UnsupportedModel when the layers differ."""
    counts = {weight_view(down_projection(layer)).shape[1] for layer in decoder_layers(model)}
    if len(counts) != 1:
        raise UnsupportedModel(
            f"{type(model).__name__}: its layers have different numbers of neurons: {sorted(counts)}"
        )
    return counts.pop()


def context_length(model: PreTrainedModel) -> int:
    """Return the model's context length in tokens, as determined by `positions.longest_text`."""
    return longest_text(model, _text_config(model), _first_layer(model))


def _first_layer(model: PreTrainedModel) -> list[nn.Module]:
    """Return a list of the first decoder layer, at which a test pass is stopped. The list is empty when no decoder
    layers are found; functions that need them raise the error."""
    try:
        return [decoder_layers(model)[0]]
    except UnsupportedModel:
        return []


def _text_config(model: PreTrainedModel) -> PretrainedConfig:
    """Return the config of the text model; a multimodal model has one config for each of its parts."""
    config: PretrainedConfig = model.config.get_text_config(decoder=True)
    return config


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)


def _holds_linear(module: nn.Module) -> bool:
    return any(_is_linear(inner) for inner in module.modules())


def _not_in_linears(layer: nn.Module, name: str, value: Tensor) -> str:
    """Return the error message for a weight matrix `value` outside linears."""
    kind = type(layer).__name__
    place = f"{name} {list(value.shape)} in {kind}"
    if value.dim() == 3 and "expert" in name:
        return (
            f"{place}: the weights of {len(value)} experts fused into one tensor (mixture of experts) cannot be "
            f"handled; give a dense model, without experts"
        )
    return (
        f"{place}: weights outside of a linear layer (a state space, a convolution, a recurrence) cannot be handled; "
        f"give a model whose layers are attention and MLP"
    )


def _mlp(layer: nn.Module) -> MLP:
    return find_mlp(layer, {name: weight_view(module).shape for name, module in linears(layer).items()})
