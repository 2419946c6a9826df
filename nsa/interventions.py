"""Two interventions on selected neurons of a model, as context managers that undo them at the end.

    mean ablation    a neuron's activation at every counted token is its mean over the counted tokens of the
                     attribution's texts; other tokens (position 0, sinks, special tokens) keep their own, because a
                     model depends on its sinks, and a usual value there destroys it
    restoration      a neuron's own weights (its rows of the up-projections, their biases, and its column of the
                     down-projection) are replaced by the dense model's

Models stay in memory and are reused, so after a block the weights are bitwise the same as before.
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
from prunescope.nsa.counted import CountedTokens

ByLayer = Mapping[int, Int[np.ndarray, " some"]]
"""Layer -> selected neurons of it, without repetition."""


@dataclass(frozen=True)
class NeuronWeights:
    """Weights of selected neurons, in host memory. `neurons`: layer -> neurons. `parts`: layer -> matrix or bias of the
    MLP -> tensor [neurons, ...]."""

    neurons: ByLayer
    parts: Mapping[int, Mapping[str, Tensor]]

    def of(self, layer: int, neurons: Int[np.ndarray, " some"]) -> dict[str, Tensor]:
        """Return the parts of some of the layer's neurons, in the given order. Raises KeyError for a neuron whose
        weights are not included."""
        places = {int(neuron): place for place, neuron in enumerate(self.neurons[layer])}
        rows = torch.tensor([places[int(neuron)] for neuron in neurons])
        return {name: part[rows] for name, part in self.parts[layer].items()}


@contextmanager
def mean_ablated(
    model: PreTrainedModel,
    neurons: ByLayer,
    means: Mapping[int, Float[np.ndarray, " some"]],
    counted: CountedTokens,
) -> Iterator[None]:
    """Inside the block, replace the activations of selected neurons at the `counted` tokens by `means` (layer -> one
    mean for each neuron, in the order of `neurons`)."""
    layers = decoder_layers(model)
    modules = {layer: down_projection(layers[layer]) for layer, some in neurons.items() if len(some)}
    places = {layer: torch.as_tensor(neurons[layer], dtype=torch.long, device=model.device) for layer in modules}
    values = {layer: torch.as_tensor(means[layer], device=model.device) for layer in modules}

    def replace(layer: int, activations: Tensor) -> Tensor:
        if counted.mask is None:
            return activations
        changed = activations.clone(memory_format=torch.contiguous_format)
        by_token = changed.view(-1, changed.shape[-1])
        by_token[:, places[layer]] = torch.where(
            counted.mask.reshape(-1, 1), values[layer].to(changed.dtype), by_token[:, places[layer]]
        )
        return changed

    with counted.following(), change_inputs(modules, replace):
        yield


@torch.no_grad()
def weights_of(model: PreTrainedModel, neurons: ByLayer) -> NeuronWeights:
    """Return a copy of the weights of selected neurons, in host memory."""
    layers = decoder_layers(model)
    parts = {
        layer: {name: view[_index(some, view)].cpu() for name, view in _views(layers[layer]).items()}
        for layer, some in neurons.items()
    }
    return NeuronWeights(neurons, parts)


@contextmanager
def restored(model: PreTrainedModel, neurons: ByLayer, dense: NeuronWeights) -> Iterator[None]:
    """Inside the block, replace the weights of selected neurons by those in `dense`.

    `model` must have the dense model's shape. Replaced are a neuron's rows (and biases) of the projections that compute
    it (gate and up, or fc1) and its column of the down-projection, but not the bias of the down-projection, which
    belongs to no single neuron. The model's own weights are put back at the end of the block. Raises KeyError for a
    neuron whose weights are not in `dense`.
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
    """Return views of all MLP weights that belong to single neurons, with one row for each neuron; writing into a view
    changes the weight.

    A fused gate-and-up matrix has two rows for each neuron; in its view they are one concatenated row.
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
