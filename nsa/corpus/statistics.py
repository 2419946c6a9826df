"""Running statistics of one layer's neurons over a stream of windows. Memory does not depend on the number of windows.

Exact: mean, standard deviation, minimum, maximum, density (the share of tokens with a positive activation), and the
extreme examples. Quantiles are those of a sample of tokens that is drawn beforehand (`sampling.py`).

Each activation is read by several operations. On a CPU they run on pieces of a few tokens, which stay in a
core's cache; the position of an example is searched for in its piece only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NONE = -1
"""The number of the window in an empty place of a list of examples."""
MAX_PIECE_BYTES = 1 << 19
"""Maximum size of a piece on a CPU, unless one token has more. On other devices, each window is one piece."""


@dataclass(frozen=True)
class Counted:
    """Which tokens of a batch of windows are counted. `windows`: the numbers of the windows that have a counted token,
    and of each its row in the batch and the positions of its counted tokens, a slice where they are consecutive."""

    windows: Int[Tensor, " windows"]
    rows: Sequence[int]
    positions: Sequence[slice | Int[Tensor, " tokens"]]

    @classmethod
    def of(
        cls, mask: Bool[np.ndarray, "batch tokens"], windows: Int[np.ndarray, " batch"], device: torch.device
    ) -> "Counted":
        """The counted tokens of a mask. `windows`: the number of each row's window."""
        rows = np.flatnonzero(mask.any(1))
        return cls(
            torch.from_numpy(windows[rows].astype(np.int32)).to(device),
            rows.tolist(),
            [_positions(mask[row], device) for row in rows],
        )


def _positions(mask: Bool[np.ndarray, " tokens"], device: torch.device) -> slice | Tensor:
    found = np.flatnonzero(mask)
    first, last = int(found[0]), int(found[-1])
    return slice(first, last + 1) if len(found) == last + 1 - first else torch.from_numpy(found).to(device)


@dataclass(frozen=True)
class Pieces:
    """The activations of one layer at the counted tokens of a batch, in pieces of consecutive counted tokens. `first`:
    of each window the number of its first piece, and at the end the number of pieces."""

    counted: Counted
    values: Sequence[Float[Tensor, "piece neurons"]]
    first: Sequence[int]
    length: int

    @classmethod
    def of(cls, values: Float[Tensor, "batch tokens neurons"], counted: Counted) -> "Pieces":
        """Cut a layer's activations (float32)."""
        _, tokens, neurons = values.shape
        length = max(1, MAX_PIECE_BYTES // (neurons * values.itemsize)) if values.device.type == "cpu" else tokens
        pieces: list[Tensor] = []
        first = [0]
        for row, positions in zip(counted.rows, counted.positions, strict=True):
            pieces += values[row, positions].split(length)
            first.append(len(pieces))
        return cls(counted, pieces, first, length)

    def position(self, window: int, index: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """The positions in a window of its counted tokens number `index`."""
        positions = self.counted.positions[window]
        return index + positions.start if isinstance(positions, slice) else positions[index]


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

    def add(self, pieces: Pieces, extremes: Float[Tensor, "pieces neurons"]) -> None:
        """Take in a batch; `extremes` are the extreme activations of each piece."""
        signed = extremes * self._sign
        best = torch.stack([signed[a:b].amax(0) for a, b in zip(pieces.first, pieces.first[1:], strict=False)])
        hits = best > self._values[-1]  # a neuron's list seldom changes once it has seen a few windows
        columns = hits.any(0).nonzero().flatten()
        if len(columns):
            self._merge(pieces, signed, best, hits, columns)

    def _merge(
        self,
        pieces: Pieces,
        signed: Float[Tensor, "pieces neurons"],
        best: Float[Tensor, "windows neurons"],
        hits: Bool[Tensor, "windows neurons"],
        columns: Int[Tensor, " some"],
    ) -> None:
        positions = torch.zeros(hits.shape, dtype=torch.int32, device=hits.device)
        for window in range(len(hits)):
            self._find(pieces, signed, window, hits[window].nonzero().flatten(), positions[window])
        candidates = torch.where(hits, best, -torch.inf)[:, columns]
        windows = pieces.counted.windows[:, None].expand(-1, len(columns))
        values = torch.cat([self._values[:, columns], candidates])
        kept, order = torch.sort(values, dim=0, descending=True, stable=True)
        most = len(self._values)
        order = order[:most]
        self._values[:, columns] = kept[:most]
        self._windows[:, columns] = torch.cat([self._windows[:, columns], windows]).gather(0, order)
        self._positions[:, columns] = torch.cat([self._positions[:, columns], positions[:, columns]]).gather(0, order)

    def _find(
        self,
        pieces: Pieces,
        signed: Float[Tensor, "pieces neurons"],
        window: int,
        neurons: Int[Tensor, " some"],
        positions: Int[Tensor, " neurons"],
    ) -> None:
        """Write the positions in a window of the extreme activations of some neurons into `positions`."""
        first, after = pieces.first[window : window + 2]
        among = signed[first:after, neurons].argmax(0)
        for number in range(after - first):
            chosen = neurons[among == number] if after - first > 1 else neurons
            if len(chosen):
                inside = pieces.values[first + number].index_select(1, chosen)
                # With the value beside it, an index is found in half the time of argmax.
                index = (inside.max(0) if self._sign > 0 else inside.min(0)).indices + number * pieces.length
                positions[chosen] = pieces.position(window, index).to(torch.int32)


class LayerStatistics:
    """The running statistics of the neurons of one layer. Sums are added up in float64."""

    def __init__(self, examples: int, neurons: int, device: torch.device) -> None:
        self._sum = torch.zeros(neurons, dtype=torch.float64, device=device)
        self._squares = torch.zeros_like(self._sum)
        self._positive = torch.zeros_like(self._sum)
        self._tokens = 0
        self.minimum = torch.full((neurons,), torch.inf, device=device)
        self.maximum = torch.full((neurons,), -torch.inf, device=device)
        self.highest = Extremes(examples, neurons, 1, device)
        self.lowest = Extremes(examples, neurons, -1, device)

    def add(self, values: Float[Tensor, "batch tokens neurons"], counted: Counted) -> None:
        """Take in the activations (float32) of a batch."""
        if not counted.rows:
            return
        pieces = Pieces.of(values, counted)
        found = [
            # Signs add up exactly in float32, and are much faster to compute and to add than comparisons.
            (x.sum(0), (x * x).sum(0), x.clamp(min=0).sign_().sum(0), x.amax(0), x.amin(0))
            for x in pieces.values
        ]
        sums, squares, positive, highest, lowest = (torch.stack(each) for each in zip(*found, strict=True))
        self._sum += sums.sum(0, dtype=torch.float64)
        self._squares += squares.sum(0, dtype=torch.float64)
        self._positive += positive.sum(0, dtype=torch.float64)
        self._tokens += sum(len(x) for x in pieces.values)
        self.maximum = torch.maximum(self.maximum, highest.amax(0))
        self.minimum = torch.minimum(self.minimum, lowest.amin(0))
        self.highest.add(pieces, highest)
        self.lowest.add(pieces, lowest)

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
        density: Tensor = self._positive / self._tokens
        return density
