"""Activations on their way into a store: they come token by token for all neurons, and the store wants neurons.

A sparse file in between keeps memory flat. It is written with plain writes and read through a map: writing through the
map would take a page fault for every 4 KiB, which costs a recorded pass more than everything else, and a full disk
would end the process instead of being an error.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Spool:
    """Float16 values [layers, tokens, neurons] in a new file at `path`; what was not written is zero."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._path, self._shape = path, shape
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(self._file, 2 * shape[0] * shape[1] * shape[2])
        self.values: NDArray[np.float16] = np.memmap(path, dtype=np.float16, mode="r", shape=shape)

    def write(self, layer: int, start: int, values: NDArray[np.float16]) -> None:
        """Write the activations [tokens, neurons] of one layer at token `start`. Raises ValueError for a shape or
        position outside of the file, OSError where the disk is full."""
        layers, tokens, neurons = self._shape
        if not 0 <= layer < layers or start < 0 or start + len(values) > tokens or values.shape[1:] != (neurons,):
            raise ValueError(f"{values.shape} from token {start} of layer {layer} on is outside of {self._shape}")
        left = np.ascontiguousarray(values, dtype=np.float16).data.cast("B")
        place = 2 * (layer * tokens + start) * neurons
        while left:
            written = os.pwrite(self._file, left, place)
            left, place = left[written:], place + written

    def remove(self) -> None:
        """Close and delete the file."""
        del self.values
        os.close(self._file)
        self._path.unlink(missing_ok=True)
