"""Where activations and tables are kept while an attribution runs: on disk, so that memory does not grow with texts."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int, Num


class Archive(Protocol):
    """Activations by variant [layers, neurons, tokens], and tables [layers, rows, columns] by name."""

    def write(self, variant: str, layer: int, start: int, values: Float[np.ndarray, "tokens neurons"]) -> None:
        """Take one layer's activations of the tokens from `start` on."""

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "neurons tokens"]]]:
        """A recorded layer, (first neuron, float16 activations) block by block; the first time round they are brought
        into their lasting form."""

    def close(self, variant: str) -> None:
        """Forget what only recording needed: no more `blocks`, but `rows`."""

    def rows(self, variant: str, layer: int, neurons: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some tokens"]:
        """The activations of some neurons of a layer that is in its lasting form."""

    def keep(self, name: str, layer: int, values: Num[np.ndarray, "rows columns"]) -> None:
        """Keep one layer of a table."""

    def kept(self, name: str, layer: int) -> Num[np.ndarray, "rows columns"]:
        """Give it back."""
