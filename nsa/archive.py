"""The interface for storing activations and tables on disk during an attribution, so that memory use does not grow with
the number of texts."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

MAX_VALUES = 1 << 21
"""Maximum number of activations processed at once; 16 MiB in double precision."""


class Archive(Protocol):
    """Storage for activations by variant [layers, neurons, tokens] and for tables by name [layers, rows, columns]."""

    def write(self, variant: str, layer: int, start: int, values: Float[np.ndarray, "tokens neurons"]) -> None:
        """Store one layer's activations of consecutive tokens; `start` is the position of the first."""

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "neurons tokens"]]]:
        """Iterate over a recorded layer in blocks of neurons: (number of the first neuron, float16 activations). The
        first iteration over a layer also converts it to its final layout on disk."""

    def rows(
        self, variant: str, layer: int, neurons: Int[np.ndarray, " some"], tokens: Int[np.ndarray, " few"]
    ) -> Float[np.ndarray, "some few"]:
        """Return float16 activations of selected neurons of a recorded layer at selected tokens."""

    def close(self, variant: str) -> None:
        """Release the temporary data of recording; afterwards `blocks` and `rows` must not be called for this
        variant."""

    def keep(self, name: str, layer: int, values: Num[np.ndarray, "rows columns"]) -> None:
        """Store one layer of the table `name`."""

    def kept(self, name: str, layer: int) -> Num[np.ndarray, "rows columns"]:
        """Return one layer of the table `name`, as stored by `keep`."""

    def spool(self, name: str, layer: int, start: int, values: Float[np.ndarray, "tokens width"]) -> None:
        """Write one layer's float32 values of consecutive tokens to a temporary file; `start` is the position of the
        first."""

    def spooled(self, name: str, layer: int, tokens: slice) -> Float[np.ndarray, "tokens width"]:
        """Return a copy of the values of some tokens that `spool` has written."""

    def unspool(self, name: str) -> None:
        """Remove a temporary file of `spool`."""

    def spans(self) -> list[slice]:
        """Return the blocks of neurons, in order, in which a layer's values are stored."""

    def stored(self, variant: str, layer: int, neurons: slice) -> Float[np.ndarray, "neurons tokens"]:
        """Return the float16 activations of a block of `spans` that `blocks` has converted; also after `close`."""

    def store(self, name: str, layer: int, neurons: slice, values: Float[np.ndarray, "neurons tokens"]) -> None:
        """Store float16 values of a block of `spans` in the array `name` [layers, neurons, tokens]."""


def pieces(
    archive: Archive, variant: str, layer: int, device: torch.device
) -> Iterator[tuple[int, Float[Tensor, "neurons tokens"]]]:
    """Iterate over `archive.blocks` as tensors on `device`, split into pieces of at most MAX_VALUES activations, so
    that temporary memory does not grow with the number of texts."""
    for first, block in archive.blocks(variant, layer):
        size = max(1, MAX_VALUES // max(1, block.shape[1]))
        for start in range(0, len(block), size):
            yield first + start, torch.from_numpy(block[start : start + size]).to(device)
