"""Orders of all neurons, best first, and random draws from the same layers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from prunescope.nsa.explain.running import Chosen
from prunescope.nsa.explain.sites import NEURONS

MARGIN, CHANGE, ACTIVATION, SCORE, DROP, RANDOM = "margin", "change", "activation", "score", "drop", "random"

Order = Int[np.ndarray, " neurons"]
"""All neurons, best first, each as layer * neurons of a layer + neuron."""


Crossed = tuple[Order, Order]
"""The orders by the first and by the second half of the rows. Each is measured on the rows of the other half."""


def ranked(values: Float[np.ndarray, "layers neurons"]) -> Order:
    """The order of descending values; equal ones in the order of layer and neuron, NaN last."""
    flat = values.ravel()
    return np.argsort(np.where(np.isnan(flat), np.inf, -flat), kind="stable")


def crossed(values: Float[np.ndarray, "halves layers neurons"]) -> Crossed:
    """`ranked` by the values of each half."""
    return ranked(values[0]), ranked(values[1])


def ranks(order: Order, shape: tuple[int, int]) -> Int[np.ndarray, "layers neurons"]:
    """The rank of each neuron in an order, from 1."""
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(1, len(order) + 1)
    return found.reshape(shape)


def chosen(neurons: Order, width: int) -> Chosen:
    """The places of some neurons; `width` is the number of neurons of a layer."""
    layers = neurons // width
    return {(NEURONS, int(layer)): np.sort(neurons[layers == layer] % width) for layer in np.unique(layers)}


def drawn(neurons: Order, width: int, rng: np.random.Generator) -> Order:
    """As many random neurons in every layer as `neurons` has there."""
    counts = np.bincount(neurons // width)
    return np.concatenate(
        [layer * width + rng.choice(width, int(count), replace=False) for layer, count in enumerate(counts) if count]
    )


def counts_of(wanted: Sequence[int], neurons: int) -> list[int]:
    """The numbers of neurons to measure, ascending: the wanted ones below `neurons`, and 5 % of `neurons`."""
    return sorted({count for count in (*wanted, round(neurons / 20)) if 0 < count < neurons})
