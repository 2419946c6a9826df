"""The share of each neuron's own weights that pruning removed. Changes of its activation have a second cause, pruning
in earlier layers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections, weight_view


@dataclass(frozen=True)
class Zeros:
    """Bit masks of the zero MLP weights of a dense model, by (layer, matrix).

    A matrix without zeros, the usual case, has no entry; each other matrix takes one bit per weight. The masks make it
    possible to compare a pruned model with the dense model without having both in memory.
    """

    packed: Mapping[tuple[int, str], np.ndarray]


@dataclass(frozen=True)
class MaskedFractions:
    """The share of a neuron's weights that were removed: `incoming` of its gate and up rows, `outgoing` of its down
    column; NaN where the dense model has no non-zero weight."""

    incoming: Float[np.ndarray, "layers neurons"]
    outgoing: Float[np.ndarray, "layers neurons"]


def zeros(model: PreTrainedModel) -> Zeros:
    """Return masks of the zeros in a dense model's MLP weights."""
    packed = {}
    for layer, module in enumerate(decoder_layers(model)):
        for name, weight in _weights(module).items():
            is_zero = (weight == 0).cpu().numpy()
            if is_zero.any():
                packed[layer, name] = np.packbits(is_zero)
    return Zeros(packed)


def masked_fractions(model: PreTrainedModel, dense: Zeros) -> MaskedFractions:
    """Return, for each neuron, the share of the dense model's non-zero weights that are zero in `model`; NaN for a
    neuron without non-zero weights."""
    incoming, outgoing = [], []
    for layer, module in enumerate(decoder_layers(model)):
        removed_in = present_in = np.zeros(1)
        for name, weight in _weights(module).items():
            before = _present(dense, (layer, name), weight)
            removed = (before & (weight == 0)).sum(1).cpu().numpy()
            present = before.sum(1).cpu().numpy()
            if name == "down":
                outgoing.append(_share(removed, present))
            else:
                removed_in, present_in = removed_in + removed, present_in + present
        incoming.append(_share(removed_in, present_in))
    return MaskedFractions(np.stack(incoming), np.stack(outgoing))


def _weights(layer: nn.Module) -> dict[str, Float[Tensor, "neurons weights"]]:
    """Return the matrices of one layer's MLP, with one row per neuron; the two rows of a neuron in a fused gate-and-up
    matrix are concatenated."""
    down = weight_view(down_projection(layer)).T
    neurons = len(down)
    found = {"down": down}
    for name, module in up_projections(layer).items():
        rows = weight_view(module)
        found[f"up {name}"] = rows.reshape(-1, neurons, rows.shape[1]).transpose(0, 1).reshape(neurons, -1)
    return found


def _present(dense: Zeros, key: tuple[int, str], weight: Tensor) -> Bool[Tensor, "neurons weights"]:
    """Return the mask of the dense model's non-zero weights in a matrix."""
    packed = dense.packed.get(key)
    if packed is None:
        return torch.ones(weight.shape, dtype=torch.bool, device=weight.device)
    flags = np.unpackbits(packed, count=weight.numel()).reshape(weight.shape)
    return torch.from_numpy(flags == 0).to(weight.device)


def _share(removed: np.ndarray, present: np.ndarray) -> Float[np.ndarray, " neurons"]:
    share: np.ndarray = np.divide(removed, present, out=np.full(len(present), np.nan), where=present > 0)
    return share
