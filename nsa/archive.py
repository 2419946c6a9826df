"""Where activations and tables are kept while an attribution runs: on disk, so that memory does not grow with texts."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

MAX_VALUES = 1 << 21
"""Activations that are worked on at once: 16 MiB in double precision."""


class Archive(Protocol):
    """Activations by variant [layers, neurons, tokens], and tables [layers, rows, columns] by name."""

    def write(self, variant: str, layer: int, start: int, values: Float[np.ndarray, "tokens neurons"]) -> None:
        """Take one layer's activations of the tokens from `start` on."""

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "neurons tokens"]]]:
        """A recorded layer, (first neuron, float16 activations) block by block; the first time round they are brought
        into their lasting form."""

    def rows(
        self, variant: str, layer: int, neurons: Int[np.ndarray, " some"], tokens: Int[np.ndarray, " few"]
    ) -> Float[np.ndarray, "some few"]:
        """The float16 activations of some neurons of a recorded layer at some tokens."""

    def close(self, variant: str) -> None:
        """Forget what only recording needed: no more `blocks` and `rows`."""

    def keep(self, name: str, layer: int, values: Num[np.ndarray, "rows columns"]) -> None:
        """Keep one layer of a table."""

    def kept(self, name: str, layer: int) -> Num[np.ndarray, "rows columns"]:
        """Give it back."""


def pieces(
    archive: Archive, variant: str, layer: int, device: torch.device
) -> Iterator[tuple[int, Float[Tensor, "neurons tokens"]]]:
    """`blocks` on a device, in pieces of at most MAX_VALUES, so that what is made of one is small however many texts
    there are."""
    for first, block in archive.blocks(variant, layer):
        size = max(1, MAX_VALUES // max(1, block.shape[1]))
        for start in range(0, len(block), size):
            yield first + start, torch.from_numpy(block[start : start + size]).to(device)
