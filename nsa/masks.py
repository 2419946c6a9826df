"""How much of a neuron's own weights pruning removed: its own damage, as against damage upstream."""

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
    """Where a dense model's MLP weights are zero already, by (layer, matrix).

    A matrix without zeros, the usual case, needs no entry; the others keep one bit per weight. So a pruned model can be
    held against the dense one without both in memory.
    """

    packed: Mapping[tuple[int, str], np.ndarray]


@dataclass(frozen=True)
class MaskedFractions:
    """The share of weights removed: `incoming` of a neuron's gate and up rows, `outgoing` of its down column."""

    incoming: Float[np.ndarray, "layers neurons"]
    outgoing: Float[np.ndarray, "layers neurons"]


def zeros(model: PreTrainedModel) -> Zeros:
    """The zeros of a dense model."""
    packed = {}
    for layer, module in enumerate(decoder_layers(model)):
        for name, weight in _weights(module).items():
            is_zero = (weight == 0).cpu().numpy()
            if is_zero.any():
                packed[layer, name] = np.packbits(is_zero)
    return Zeros(packed)


def masked_fractions(model: PreTrainedModel, dense: Zeros) -> MaskedFractions:
    """The share of the dense model's non-zero weights that are zero in `model`; NaN where a neuron had none."""
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
    """The matrices of one layer's MLP, one row per neuron (a fused gate-and-up matrix laid side by side)."""
    down = weight_view(down_projection(layer)).T
    neurons = len(down)
    found = {"down": down}
    for name, module in up_projections(layer).items():
        rows = weight_view(module)
        found[f"up {name}"] = rows.reshape(-1, neurons, rows.shape[1]).transpose(0, 1).reshape(neurons, -1)
    return found


def _present(dense: Zeros, key: tuple[int, str], weight: Tensor) -> Bool[Tensor, "neurons weights"]:
    packed = dense.packed.get(key)
    if packed is None:
        return torch.ones(weight.shape, dtype=torch.bool, device=weight.device)
    flags = np.unpackbits(packed, count=weight.numel()).reshape(weight.shape)
    return torch.from_numpy(flags == 0).to(weight.device)


def _share(removed: np.ndarray, present: np.ndarray) -> Float[np.ndarray, " neurons"]:
    share: np.ndarray = np.divide(removed, present, out=np.full(len(present), np.nan), where=present > 0)
    return share
