"""The activations of one model at all tokens of the layout, outside of memory.

The numerics write no files: the worker gives them a function (`Open`) that makes spools. Values keep the model's dtype;
bfloat16, which NumPy does not have, is stored as its 16 bits.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from prunescope.nsa.explain.sites import Sites

STORED: dict[torch.dtype, type[np.generic]] = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: np.int16,
}
"""Dtype of the model -> dtype of the stored values."""


class Spool(Protocol):
    """Values [layers, tokens, width] outside of memory."""

    @property
    def values(self) -> NDArray[np.generic]: ...

    def write(self, layer: int, start: int, values: NDArray[np.generic]) -> None: ...


Open = Callable[[str, tuple[int, int, int], type[np.generic]], Spool]
"""Makes a spool: its name, shape and dtype."""


class Recorded:
    """The activations of one model, by kind, layer and token. `name` is the model's role in the spools' names."""

    def __init__(self, open_spool: Open, name: str, sites: Sites, tokens: int, dtype: torch.dtype) -> None:
        self.dtype = dtype if dtype in STORED else torch.float32
        self._spools = {
            kind: open_spool(f"{name}-{kind}", (sites.layers, tokens, width), STORED[self.dtype])
            for kind, width in sites.widths.items()
        }

    def write(self, kind: str, layer: int, start: int, values: Float[Tensor, "tokens width"]) -> None:
        """Store the activations of consecutive tokens."""
        kept = values.detach().to("cpu", self.dtype)
        stored = kept.view(torch.int16) if self.dtype == torch.bfloat16 else kept
        self._spools[kind].write(layer, start, stored.numpy())

    def read(
        self,
        kind: str,
        layer: int,
        tokens: Int[np.ndarray, " some"],
        columns: Int[np.ndarray, " columns"] | None = None,
    ) -> Float[Tensor, "some columns"]:
        """The stored activations of some tokens, of some coordinates or (None) of all, on the CPU."""
        stored = self._spools[kind].values[layer]
        found = stored[tokens] if columns is None else stored[np.ix_(tokens, columns)]
        tensor = torch.from_numpy(np.ascontiguousarray(found))
        return tensor.view(torch.bfloat16) if self.dtype == torch.bfloat16 else tensor
