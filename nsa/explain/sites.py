"""The two kinds of places whose activations are compared: MLP neurons and attention heads.

neurons   the input of each MLP's down-projection; one coordinate is one neuron
heads     the input of each attention's output projection; `head_width` coordinates are one head
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, neuron_count, weight_view
from prunescope.lm.attention import attention_outputs
from prunescope.lm.errors import UnsupportedModel

NEURONS, HEADS = "neurons", "heads"

Place = tuple[str, int]
"""(NEURONS or HEADS, layer)."""


@dataclass(frozen=True)
class Sites:
    """The modules whose inputs are the activations, by place. `widths` are the numbers of coordinates by kind; HEADS is
    missing if `heads` is 0. `without_heads` says why heads were asked for and are not there."""

    modules: dict[Place, nn.Module]
    layers: int
    widths: dict[str, int]
    heads: int
    without_heads: str | None = None

    @property
    def kinds(self) -> list[str]:
        """The kinds that are there, in order."""
        return list(self.widths)

    def by_head(self, values: Float[np.ndarray, "layers width"]) -> Float[np.ndarray, "layers heads"]:
        """Sum the coordinates of each head."""
        found: np.ndarray = values.reshape(self.layers, self.heads, -1).sum(2)
        return found


def sites_of(model: PreTrainedModel, heads: bool = True) -> Sites:
    """Find the MLP neurons of every layer and, with `heads`, the attention heads. Raises UnsupportedModel when the
    neurons cannot be found; without heads it says so in `without_heads`."""
    layers = decoder_layers(model)
    modules: dict[Place, nn.Module] = {(NEURONS, layer): down_projection(module) for layer, module in enumerate(layers)}
    widths = {NEURONS: neuron_count(model)}
    if not heads:
        return Sites(modules, len(layers), widths, 0)
    try:
        outputs, count = attention_outputs(model)
    except UnsupportedModel as error:
        return Sites(modules, len(layers), widths, 0, str(error))
    modules |= {(HEADS, layer): module for layer, module in enumerate(outputs)}
    widths[HEADS] = int(weight_view(outputs[0]).shape[1])
    return Sites(modules, len(layers), widths, count)


def output_norms(sites: Sites) -> Float[np.ndarray, "layers neurons"]:
    """The Euclidean norm of each neuron's output weights, its column of the down-projection."""
    return np.stack(
        [
            torch.linalg.vector_norm(weight_view(sites.modules[NEURONS, layer]).float(), dim=0).cpu().numpy()
            for layer in range(sites.layers)
        ]
    )
