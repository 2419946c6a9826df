"""A temporary file that transposes activations: a forward pass produces all neurons of some tokens, while the
attribution stores all tokens of each neuron.

The file is sparse, so memory use does not grow. It is written with `pwrite` and read memory-mapped. Writing through the
memory map would cause a page fault for every 4 KiB, the largest cost of a recorded forward pass, and a full disk would
kill the process instead of raising an exception.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Spool:
    """Values [layers, tokens, neurons] of a floating-point type (default: float16) in a new file at `path`. Values that
    were not written are zero."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: DTypeLike = np.float16) -> None:
        self._path, self._shape, self._dtype = path, shape, np.dtype(dtype)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(self._file, self._dtype.itemsize * shape[0] * shape[1] * shape[2])
        self.values: NDArray[Any] = np.memmap(path, dtype=self._dtype, mode="r", shape=shape)

    def write(self, layer: int, start: int, values: NDArray[Any]) -> None:
        """Write the values [tokens, neurons] of one layer from token `start` on. Raises ValueError if they do not
        fit into the file's shape, OSError if the disk is full."""
        layers, tokens, neurons = self._shape
        if not 0 <= layer < layers or start < 0 or start + len(values) > tokens or values.shape[1:] != (neurons,):
            raise ValueError(f"{values.shape} from token {start} of layer {layer} on is outside of {self._shape}")
        left = np.ascontiguousarray(values, dtype=self._dtype).data.cast("B")
        place = self._dtype.itemsize * (layer * tokens + start) * neurons
        while left:
            written = os.pwrite(self._file, left, place)
            left, place = left[written:], place + written

    def remove(self) -> None:
        """Close and delete the file."""
        del self.values
        os.close(self._file)
        self._path.unlink(missing_ok=True)
