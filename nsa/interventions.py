"""Two ways of touching some neurons of a model and nothing else, each undone when its block ends.

    mean ablation    a neuron's activation at every token is its mean over the attribution's texts
    giving back      a neuron's own weights (the rows it reads with, their bias, the column it is read by) are the dense
                     model's

Models stay in memory and are used again: after a block the weights are what they were before, bit for bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, up_projections, weight_view
from prunescope.lm.hooks import change_inputs

ByLayer = Mapping[int, Int[np.ndarray, " some"]]
"""Layer -> some of its neurons, each once."""


@dataclass(frozen=True)
class NeuronWeights:
    """The weights of some neurons of some layers, in host memory: layer -> neurons, and layer -> one tensor
    [neurons, ...] for each part of an MLP."""

    neurons: ByLayer
    parts: Mapping[int, Mapping[str, Tensor]]

    def of(self, layer: int, neurons: Int[np.ndarray, " some"]) -> dict[str, Tensor]:
        """The parts of some of the layer's neurons, in their order. Raises KeyError for one that is not here."""
        places = {int(neuron): place for place, neuron in enumerate(self.neurons[layer])}
        rows = torch.tensor([places[int(neuron)] for neuron in neurons])
        return {name: part[rows] for name, part in self.parts[layer].items()}


@contextmanager
def mean_ablated(
    model: PreTrainedModel, neurons: ByLayer, means: Mapping[int, Float[np.ndarray, " some"]]
) -> Iterator[None]:
    """Replace the activations of some neurons by `means`, theirs in the same order, as long as the block lasts."""
    layers = decoder_layers(model)
    modules = {layer: down_projection(layers[layer]) for layer, some in neurons.items() if len(some)}
    places = {layer: torch.as_tensor(neurons[layer], dtype=torch.long, device=model.device) for layer in modules}
    values = {layer: torch.as_tensor(means[layer], device=model.device) for layer in modules}

    def replace(layer: int, activations: Tensor) -> Tensor:
        changed = activations.clone()
        changed[..., places[layer]] = values[layer].to(changed.dtype)
        return changed

    with change_inputs(modules, replace):
        yield


@torch.no_grad()
def weights_of(model: PreTrainedModel, neurons: ByLayer) -> NeuronWeights:
    """Copies of the weights of some neurons."""
    layers = decoder_layers(model)
    parts = {
        layer: {name: view[_index(some, view)].cpu() for name, view in _views(layers[layer]).items()}
        for layer, some in neurons.items()
    }
    return NeuronWeights(neurons, parts)


@contextmanager
def given_back(model: PreTrainedModel, neurons: ByLayer, dense: NeuronWeights) -> Iterator[None]:
    """Give some neurons the weights that they have in the dense model, as long as the block lasts.

    `model` has the dense one's shape. The column that a neuron is read by is its own, the down-projection's bias is
    nobody's. Raises KeyError for a neuron whose weights are not in `dense`.
    """
    layers = decoder_layers(model)
    own = weights_of(model, neurons)
    try:
        for layer, some in neurons.items():
            _write(layers[layer], some, dense.of(layer, some))
        yield
    finally:
        for layer, some in neurons.items():
            _write(layers[layer], some, own.parts[layer])


@torch.no_grad()
def _write(layer: nn.Module, neurons: Int[np.ndarray, " some"], parts: Mapping[str, Tensor]) -> None:
    for name, view in _views(layer).items():
        view[_index(neurons, view)] = parts[name].to(device=view.device, dtype=view.dtype)


def _views(layer: nn.Module) -> dict[str, Tensor]:
    """Everything of an MLP that belongs to single neurons, one row for each; writing into a view writes the weight.

    A matrix that holds gate and up has two rows of its own for a neuron, which lie side by side here.
    """
    down = weight_view(down_projection(layer)).T
    found = {"down": down}
    for name, module in up_projections(layer).items():
        found[name] = weight_view(module).unflatten(0, (-1, len(down))).transpose(0, 1)
        if (bias := cast(Tensor | None, getattr(module, "bias", None))) is not None:
            found[f"{name} bias"] = bias.detach().unflatten(0, (-1, len(down))).T
    return found


def _index(neurons: Int[np.ndarray, " some"], view: Tensor) -> Tensor:
    return torch.as_tensor(neurons, dtype=torch.long, device=view.device)
