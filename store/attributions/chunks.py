"""Reads single rows of a sharded Zarr array in a local folder, each with two file reads.

Zarr 3 reads through an event loop in a separate thread and hands work to further threads. That takes about a
millisecond for a chunk, and much longer in a busy server, where each switch between threads waits for the interpreter
lock. A neuron's page needs a row of every array. This module reads only the format that `ActivationWriter` writes
(sharded, little-endian, zstd); Zarr reads all others. A test checks that both give the same rows. Damaged data raises
ValueError, or RuntimeError from the decoder: the index of a shard has a checksum, and so has every zstd chunk.
"""

import json
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
from google_crc32c import value as crc32c
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]
from numpy.typing import NDArray

_MISSING = 2**64 - 1
_INDEX_CHECKSUM_BYTES = 4
_INNER_CODECS = ["bytes", "zstd"]
_INDEX_CODECS = ["bytes", "crc32c"]


class RowReader:
    """Reads rows `array[first, second, :]` of an array with three axes whose chunks contain whole rows. Thread-safe."""

    def __init__(self, folder: Path, shape: list[int], dtype: str, shard: list[int], chunk: list[int]) -> None:
        self._folder = folder
        self._shape, self._dtype = shape, np.dtype(dtype).newbyteorder("<")
        self._shard, self._chunk = shard, chunk
        self._indexes: dict[tuple[int, int], NDArray[np.uint64] | None] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The reader of the array in this local folder; None if the folder does not exist or the array has another
        format."""
        try:
            about = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
            (sharding,) = about["codecs"]
            form = sharding["configuration"]
            shape, shard = about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"]
            chunk = form["chunk_shape"]
            known = (
                sharding["name"] == "sharding_indexed"
                and [codec["name"] for codec in form["codecs"]] == _INNER_CODECS
                and [codec["name"] for codec in form["index_codecs"]] == _INDEX_CODECS
                and form["index_location"] == "end"
                and all(
                    codecs[0]["configuration"]["endian"] == "little"
                    for codecs in (form["codecs"], form["index_codecs"])
                )
                and about["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
                and about["data_type"] in {"float16", "float32"}
                and about["fill_value"] == "NaN"
                and not about.get("storage_transformers")
                and len(shape) == 3
                and shard[0] == chunk[0] == 1
                and shard[2] == chunk[2] == shape[2]
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None
        return cls(folder, shape, about["data_type"], shard, chunk) if known else None

    def row(self, first: int, second: int) -> NDArray[Any]:
        """The row `array[first, second, :]`; NaN if it was not written. Raises IndexError for indices outside of the
        array, ValueError or RuntimeError if the data is damaged."""
        if not (0 <= first < self._shape[0] and 0 <= second < self._shape[1]):
            raise IndexError(f"[{first}, {second}] is outside of {self._shape}")
        shard, within = divmod(second, self._shard[1])
        number, place = divmod(within, self._chunk[1])
        index = self._index(first, shard)
        if index is None or index[number, 0] == _MISSING:
            return np.full(self._shape[2], np.nan, self._dtype)
        with self._path(first, shard).open("rb", buffering=0) as file:
            file.seek(int(index[number, 0]))
            data = Zstd().decode(file.read(int(index[number, 1])))
        rows: NDArray[Any] = np.frombuffer(data, self._dtype).reshape(self._chunk[1], self._shape[2])
        row: NDArray[Any] = rows[place]
        return row

    def _index(self, first: int, shard: int) -> NDArray[np.uint64] | None:
        """[chunks, 2]: offset and length of each chunk of a shard; None for a shard that was never written."""
        key = (first, shard)
        with self._lock:
            if key in self._indexes:
                return self._indexes[key]
        count = self._shard[1] // self._chunk[1]
        size = 16 * count + _INDEX_CHECKSUM_BYTES
        try:
            with self._path(first, shard).open("rb", buffering=0) as file:
                file.seek(-size, 2)
                stored = file.read(size)
            if crc32c(stored[:-_INDEX_CHECKSUM_BYTES]).to_bytes(4, "little") != stored[-_INDEX_CHECKSUM_BYTES:]:
                raise ValueError("the checksum of a shard's index is wrong")
            index = np.frombuffer(stored, "<u8", 2 * count).reshape(count, 2)
        except FileNotFoundError:
            index = None
        with self._lock:
            self._indexes[key] = index
        return index

    def _path(self, first: int, shard: int) -> Path:
        return self._folder / "c" / str(first) / str(shard) / "0"
