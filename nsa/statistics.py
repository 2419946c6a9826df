"""Statistics of each neuron's signed activations over all tokens: mean, minimum, maximum and a coarse histogram.

A neuron's histogram has BINS equal bins over the neuron's range in the dense model, also for pruned models, so that
counts are comparable. Values outside this range are counted in the first or last bin.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.nsa.examples import Positions

BINS = 16
MEAN = 0
"""The column of the mean in `Spread.table`."""


@dataclass(frozen=True)
class Spread:
    """Activation statistics of each neuron over the counted tokens of all texts. `deviation` is the standard deviation
    (divisor: the number of tokens)."""

    mean: Float[np.ndarray, " neurons"]
    minimum: Float[np.ndarray, " neurons"]
    maximum: Float[np.ndarray, " neurons"]
    histogram: Float[np.ndarray, "neurons bins"]  # number of tokens in each bin
    deviation: Float[np.ndarray, " neurons"]

    @property
    def table(self) -> Float[np.ndarray, "neurons columns"]:
        """One row per neuron in the stored column order: mean, minimum, maximum, then the counts of the histogram's
        bins."""
        parts = (self.mean[:, None], self.minimum[:, None], self.maximum[:, None], self.histogram)
        return np.concatenate(parts, axis=1).astype(np.float32)


Range = tuple[Float[np.ndarray, " neurons"], Float[np.ndarray, " neurons"]]


def spread(activations: Float[Tensor, "neurons tokens"], positions: Positions, within: Range | None = None) -> Spread:
    """Return the statistics of a block of neurons. `within` is each neuron's (minimum, maximum) in the dense model,
    None when the activations are the dense model's."""
    values = activations if positions.counted.all() else activations[:, _on(positions.counted, activations)]
    values = values.float()
    low, high = (values.amin(1), values.amax(1)) if within is None else (_on(bound, values) for bound in within)
    return Spread(
        mean=values.double().mean(1).cpu().numpy(),
        minimum=values.amin(1).cpu().numpy(),
        maximum=values.amax(1).cpu().numpy(),
        histogram=_counts(values, low.float(), high.float()).cpu().numpy(),
        deviation=values.double().std(1, correction=0).cpu().numpy(),
    )


def _counts(
    values: Float[Tensor, "neurons tokens"], low: Float[Tensor, " neurons"], high: Float[Tensor, " neurons"]
) -> Float[Tensor, "neurons bins"]:
    """Return the number of values of each neuron in each of BINS equal bins between `low` and `high`."""
    scale = torch.where(high > low, BINS / (high - low), 0)
    places = ((values - low[:, None]) * scale[:, None]).clamp_(0, BINS - 1).long()
    places += BINS * torch.arange(len(values), device=values.device)[:, None]
    return torch.bincount(places.flatten(), minlength=BINS * len(values)).view(-1, BINS).float()


def _on(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.device)
