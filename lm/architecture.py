"""Where things lie in a decoder-only language model, found by its structure and not by class names.

    decoder layers    the one list of modules that hold linears, as long as the config says
    linears           nn.Linear, or GPT-2's Conv1D whose weight is stored transposed
    MLP               linears with one parent: one or two of shape [neurons, hidden], and one [hidden, neurons]

An attention with separate projections has four linears under one parent, one with a fused projection has no pair of
matching shapes, so neither is taken for an MLP.
"""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lm.errors import UnsupportedModel

DEFAULT_CONTEXT = 2048  # for the few architectures without a longest position (ALiBi)


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The model's decoder layers, in order. Raises UnsupportedModel when there is not exactly one such list."""
    return cast(nn.ModuleList, model.get_submodule(layers_path(model)))


def layers_path(model: PreTrainedModel) -> str:
    """Where the decoder layers lie: "model.layers", "transformer.h", "model.decoder.layers", "gpt_neox.layers", ..."""
    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and all(_holds_linear(layer) for layer in module)
    ]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    expected = getattr(model.config, "num_hidden_layers", None)
    if len(outermost) > 1:
        outermost = [name for name in outermost if len(cast(nn.ModuleList, model.get_submodule(name))) == expected]
    if len(outermost) != 1:
        raise UnsupportedModel(
            f"{type(model).__name__}: the decoder layers are not one list of modules (found: "
            f"{', '.join(outermost or lists) or 'none'}); a decoder-only language model is needed"
        )
    return str(outermost[0])


def linears(layer: nn.Module) -> dict[str, nn.Module]:
    """The linears of one decoder layer, name within the layer -> module, in order.

    Raises UnsupportedModel for a matrix that lies outside of a linear (fused experts, a convolution), and
    names it: leaving it out in silence would prune less than was asked for.
    """
    found: dict[str, nn.Module] = {}
    for name, module in layer.named_modules():
        if _is_linear(module):
            found[name] = module
        elif not isinstance(module, nn.Embedding):
            for parameter, value in module.named_parameters(recurse=False):
                if value.dim() > 1:
                    raise UnsupportedModel(
                        f"{f'{name}.{parameter}'.lstrip('.')} {list(value.shape)} in {type(layer).__name__}: "
                        f"a matrix outside of a linear layer (such as fused experts) cannot be handled"
                    )
    return found


def weight_view(module: nn.Module) -> Float[Tensor, "rows columns"]:
    """The linear's weight as [out_features, in_features], without gradient; writing into it writes the weight."""
    weight = cast(Tensor, module.weight).detach()
    return weight.T if isinstance(module, Conv1D) else weight


def down_projection(layer: nn.Module) -> nn.Module:
    """The MLP's last linear; the last axis of its input are the neurons. Raises UnsupportedModel."""
    return linears(layer)[_mlp(layer)[1]]


def up_projections(layer: nn.Module) -> dict[str, nn.Module]:
    """The MLP's first linears (gate and up, or fc1), name within the layer -> module: a row for each neuron."""
    found = linears(layer)
    return {name: found[name] for name in _mlp(layer)[0]}


def neuron_count(model: PreTrainedModel) -> int:
    """MLP neurons of one decoder layer. Raises UnsupportedModel when the layers differ."""
    counts = {weight_view(down_projection(layer)).shape[1] for layer in decoder_layers(model)}
    if len(counts) != 1:
        raise UnsupportedModel(
            f"{type(model).__name__}: its layers have different numbers of neurons: {sorted(counts)}"
        )
    return counts.pop()


def context_length(model: PreTrainedModel) -> int:
    """The longest text the model reads, in tokens."""
    return int(getattr(model.config, "max_position_embeddings", None) or DEFAULT_CONTEXT)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)


def _holds_linear(module: nn.Module) -> bool:
    return any(_is_linear(inner) for inner in module.modules())


def _mlp(layer: nn.Module) -> tuple[list[str], str]:
    """Names of the MLP's first linears and of its last one."""
    families: dict[str, list[tuple[str, int, int]]] = {}
    for name, module in linears(layer).items():
        rows, columns = weight_view(module).shape
        families.setdefault(name.rpartition(".")[0], []).append((name, rows, columns))
    # The last family that fits: where an attention could be mistaken for an MLP, the MLP comes after it.
    for family in reversed(families.values()):
        if len(family) not in (2, 3):
            continue
        for position in range(len(family) - 1, -1, -1):
            down, rows, columns = family[position]
            first = family[:position] + family[position + 1 :]
            if all((r, c) == (columns, rows) for _, r, c in first):
                return [name for name, _, _ in first], down
    raise UnsupportedModel(
        f"{type(layer).__name__}: no MLP found (one or two linears [neurons, hidden] and one [hidden, neurons] "
        f"under one parent) among {', '.join(f'{n} {[r, c]}' for f in families.values() for n, r, c in f) or 'none'}"
    )
