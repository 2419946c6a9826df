"""Running statistics of one layer's neurons over a stream of windows. Memory does not depend on the number of windows.

Exact: mean, standard deviation, minimum, maximum, density (the share of tokens with a positive activation), and the
extreme examples. Quantiles are those of a sample of tokens that is drawn beforehand (`sampling.py`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NONE = -1
"""The number of the window in an empty place of a list of examples."""


@dataclass(frozen=True)
class Batch:
    """The activations of one layer on a batch of windows, and which of the tokens are counted.

    `values` [windows, tokens, neurons] are float32. `counted` is None if all tokens after position 0 are counted, as in
    a batch without padding and special tokens.
    """

    values: Float[Tensor, "windows tokens neurons"]
    counted: Bool[Tensor, "windows tokens"] | None
    windows: Int[Tensor, " windows"]

    @property
    def start(self) -> int:
        """The first position that `inside` has."""
        return 1 if self.counted is None else 0

    @property
    def inside(self) -> Float[Tensor, "windows tokens neurons"]:
        """The activations without position 0 where that is the only one left out; else all of them."""
        return self.values[:, self.start :]

    def filled(self, value: float) -> Float[Tensor, "windows tokens neurons"]:
        """`inside` with `value` at the tokens that are not counted."""
        return self.inside if self.counted is None else self.values.masked_fill(~self.counted[:, :, None], value)


class Extremes:
    """The `most` largest positive activations of each neuron, or the `most` lowest negative ones, at most one from each
    window.

    Of equal activations, the one that was read first is kept first; within a window the first position counts. Zeros
    are no examples: a neuron with fewer activations of the sign has empty places, whose window is NONE and whose value
    is 0.
    """

    def __init__(self, most: int, neurons: int, sign: Literal[1, -1], device: torch.device) -> None:
        self._sign = sign
        self._values = torch.zeros(most, neurons, device=device)
        self._windows = torch.full((most, neurons), NONE, dtype=torch.int32, device=device)
        self._positions = torch.zeros(most, neurons, dtype=torch.int32, device=device)

    @property
    def values(self) -> Float[Tensor, "most neurons"]:
        """The activations, the most extreme first."""
        return self._values * self._sign

    @property
    def windows(self) -> Int[Tensor, "most neurons"]:
        """The number of each activation's window."""
        return self._windows

    @property
    def positions(self) -> Int[Tensor, "most neurons"]:
        """Each activation's position in its window."""
        return self._positions

    def add(self, batch: Batch) -> Float[Tensor, "windows neurons"]:
        """Take in a batch; returns the extreme activation of each window (signed)."""
        outside = -torch.inf * self._sign
        filled = batch.filled(outside)
        best = filled.amax(1) if self._sign > 0 else filled.amin(1)
        signed = best * self._sign
        hits = signed > self._values[-1]  # a neuron's list seldom changes once it has seen a few windows
        columns = hits.any(0).nonzero().flatten()
        if len(columns):
            self._merge(batch, filled, signed, hits, columns)
        return best

    def _merge(
        self,
        batch: Batch,
        filled: Float[Tensor, "windows tokens neurons"],
        signed: Float[Tensor, "windows neurons"],
        hits: Bool[Tensor, "windows neurons"],
        columns: Int[Tensor, " some"],
    ) -> None:
        rows, neurons = hits.nonzero(as_tuple=True)
        positions = torch.zeros(hits.shape, dtype=torch.int32, device=hits.device)
        at = (filled[rows, :, neurons] * self._sign).argmax(1)
        positions[rows, neurons] = at.to(torch.int32) + batch.start
        candidates = torch.where(hits, signed, -torch.inf)[:, columns]
        windows = batch.windows.to(torch.int32)[:, None].expand(-1, len(columns))
        values = torch.cat([self._values[:, columns], candidates])
        kept, order = torch.sort(values, dim=0, descending=True, stable=True)
        most = len(self._values)
        order = order[:most]
        self._values[:, columns] = kept[:most]
        self._windows[:, columns] = torch.cat([self._windows[:, columns], windows]).gather(0, order)
        self._positions[:, columns] = torch.cat([self._positions[:, columns], positions[:, columns]]).gather(0, order)


class LayerStatistics:
    """The running statistics of the neurons of one layer. Sums are added up in float64."""

    def __init__(self, examples: int, neurons: int, device: torch.device) -> None:
        self._sum = torch.zeros(neurons, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._sum)
        self._positive = torch.zeros(neurons, dtype=torch.int64, device=device)
        self._tokens = 0
        self.minimum = torch.full((neurons,), torch.inf, device=device)
        self.maximum = torch.full((neurons,), -torch.inf, device=device)
        self.highest = Extremes(examples, neurons, 1, device)
        self.lowest = Extremes(examples, neurons, -1, device)

    def add(self, batch: Batch) -> None:
        """Take in the activations of a batch."""
        zeros = batch.filled(0.0)  # tokens that are not counted add nothing to sums
        self._sum += zeros.sum(1).double().sum(0)
        self._squares += (zeros * zeros).sum(1).double().sum(0)
        # Bytes are added up in groups of 255, which do not overflow; this is much faster than integer sums.
        positive = (zeros > 0).view(torch.uint8)
        for part in positive.split(255, dim=1):
            self._positive += part.sum(1, dtype=torch.uint8).sum(0, dtype=torch.int64)
        self._tokens += zeros.shape[0] * zeros.shape[1] if batch.counted is None else int(batch.counted.sum())
        self.maximum = torch.maximum(self.maximum, self.highest.add(batch).amax(0))
        self.minimum = torch.minimum(self.minimum, self.lowest.add(batch).amin(0))

    @property
    def finite(self) -> Tensor:
        """Whether no activation so far is NaN or infinite, as a tensor of one value."""
        return torch.isfinite(self._squares).all()

    def first_not_finite(self) -> int:
        """The first neuron with an activation that is NaN or infinite."""
        return int((~torch.isfinite(self._squares)).nonzero()[0])

    @property
    def mean(self) -> Float[Tensor, " neurons"]:
        """The mean activation."""
        mean: Tensor = self._sum / self._tokens
        return mean

    @property
    def deviation(self) -> Float[Tensor, " neurons"]:
        """The standard deviation (of the population) of the activation. Squares are rounded to float32, so values below
        0.0005 of the mean are rounding."""
        variance: Tensor = self._squares / self._tokens - self.mean**2
        return variance.clamp(min=0).sqrt()

    @property
    def density(self) -> Float[Tensor, " neurons"]:
        """The share of tokens with a positive activation."""
        density: Tensor = self._positive.double() / self._tokens
        return density
