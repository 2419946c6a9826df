"""Writes the artefact of one attribution; activations.py describes its format."""

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from prunescope.store.attributions.spool import Spool

CHUNK_BYTES = 64 * 1024
MAX_SHARD_BYTES = 64 * 1024 * 1024
CHECKED = ZstdCodec(level=0, checksum=True)  # reading a chunk raises if its checksum is wrong


class ActivationWriter:
    """Writes one attribution into a temporary folder beside `path`. `finish` renames the folder to `path`; leaving the
    `with` block without `finish` removes it.

    `variants` are the names of the variants in order, `models` their model references, `labels` their display names.
    Raises FileExistsError if `path` exists and is not an empty folder.
    """

    def __init__(
        self,
        path: Path,
        *,
        spec: Mapping[str, Any],
        variants: Sequence[str],
        models: Sequence[str],
        labels: Sequence[str],
        examples: Sequence[Mapping[str, Any]],
        layers: int,
        neurons: int,
    ) -> None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path} exists and is not an empty folder")
        self._path = path
        self._labels = list(labels)
        self._shape = (layers, neurons, sum(len(example["token_ids"]) for example in examples))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        self._root = zarr.open_group(str(self._partial), mode="w-", zarr_format=3)
        self._root.attrs.update(
            {
                "spec": dict(spec),
                "variants": list(variants),
                "models": list(models),
                "examples": [dict(example) for example in examples],
            }
        )
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._spools: dict[str, Spool] = {}
        self._stored: set[tuple[str, int, int]] = set()
        for variant in variants:
            self._by_token(f"activations/{variant}")

    def __enter__(self) -> "ActivationWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._spools):
            self.unspool(name)
        shutil.rmtree(self._partial, ignore_errors=True)

    def write(self, variant: str, layer: int, start: int, values: NDArray[np.float16]) -> None:
        """Write activations [tokens, neurons] of the tokens from `start` on to a temporary file, from which `blocks`
        stores them."""
        if variant not in self._spools:
            layers, neurons, tokens = self._shape
            self._spools[variant] = Spool(self._partial / f".{variant}.spool", (layers, tokens, neurons))
        self._spools[variant].write(layer, start, values)

    def blocks(self, variant: str, layer: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Yield the activations of one layer in blocks of neurons: (first neuron, [neurons, tokens]). The first
        iteration over a layer also stores each block."""
        spool = self._spools[variant].values
        for neurons in self.spans():
            block = np.ascontiguousarray(spool[layer, :, neurons].T)
            if (variant, layer, neurons.start) not in self._stored:
                self.store(f"activations/{variant}", layer, neurons, block)
                self._stored.add((variant, layer, neurons.start))
            yield neurons.start, block

    def rows(
        self, variant: str, layer: int, neurons: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.float16]:
        """Activations [neurons, tokens] of these neurons at these tokens. Must be called before `close`."""
        found: NDArray[np.float16] = self._spools[variant].values[layer, tokens[:, None], neurons].T
        return found

    def close(self, variant: str) -> None:
        """Remove the temporary file of a variant's activations."""
        self.unspool(variant)

    def spool(self, name: str, layer: int, start: int, values: NDArray[np.float32]) -> None:
        """Write one layer's values [tokens, width] of the tokens from `start` on to the temporary file `name`."""
        if name not in self._spools:
            layers, _, tokens = self._shape
            path = self._partial / f".{name.replace('/', '.')}.spool"
            self._spools[name] = Spool(path, (layers, tokens, values.shape[1]), np.float32)
        self._spools[name].write(layer, start, values)

    def spooled(self, name: str, layer: int, tokens: slice) -> NDArray[np.float32]:
        """The values [tokens, width] of some tokens of one layer in the temporary file `name`."""
        return np.array(self._spools[name].values[layer, tokens])

    def unspool(self, name: str) -> None:
        """Remove the temporary file `name`, if there is one."""
        spool = self._spools.pop(name, None)
        if spool is not None:
            spool.remove()

    def spans(self) -> list[slice]:
        """The blocks of neurons in which `store` takes a layer's values."""
        size = _chunks_and_shards(self._shape)[1][1]
        return [slice(first, min(first + size, self._shape[1])) for first in range(0, self._shape[1], size)]

    def stored(self, variant: str, layer: int, neurons: slice) -> NDArray[np.float16]:
        """The activations [neurons, tokens] of a block of `spans` that `blocks` has stored; also after `close`."""
        return np.asarray(self._arrays[f"activations/{variant}"][layer, neurons, :])

    def store(self, name: str, layer: int, neurons: slice, values: NDArray[np.float16]) -> None:
        """Store values [neurons, tokens] of one of the blocks of `spans` in the array [layers, neurons, tokens] with
        this name, which has the format of the activations."""
        self._by_token(name)[layer, neurons, :] = values

    def keep(self, name: str, layer: int, values: NDArray[Any]) -> None:
        """Store `values` [rows, columns] as one layer of the array [layers, rows, columns] with this name, which the
        first call creates."""
        if name not in self._arrays:
            rows, columns = values.shape
            chunk = max(1, min(rows, CHUNK_BYTES // (values.itemsize * max(1, columns))))
            self._arrays[name] = self._create(
                name,
                (self._shape[0], rows, columns),
                values.dtype.name,
                (1, chunk, columns),
                (1, -(-rows // chunk) * chunk, columns),
            )
        self._arrays[name][layer] = values

    def kept(self, name: str, layer: int) -> NDArray[Any]:
        """One layer [rows, columns] of an array that `keep` has stored."""
        return np.asarray(self._arrays[name][layer])

    def finish(self, arrays: Mapping[str, NDArray[Any]], tables: Mapping[str, Any]) -> Path:
        """Store `arrays` by name, each in one chunk, and `tables` as attributes of the group of this name, then rename
        the folder. Returns its path."""
        for name in list(self._spools):
            self.unspool(name)
        for name, values in arrays.items():
            self._create(name, values.shape, values.dtype.name, values.shape, None)[...] = values
        document = json.loads(json.dumps({**tables, "labels": self._labels}, allow_nan=False))
        self._root.require_group("tables").attrs.update(document)
        self._partial.rename(self._path)
        return self._path

    def _by_token(self, name: str) -> "zarr.Array[Any]":
        if name not in self._arrays:
            chunks, shards = _chunks_and_shards(self._shape)
            self._arrays[name] = self._create(name, self._shape, "float16", chunks, shards)
        return self._arrays[name]

    def _create(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        chunks: tuple[int, ...],
        shards: tuple[int, ...] | None,
    ) -> "zarr.Array[Any]":
        parent, _, last = name.rpartition("/")
        group = self._root.require_group(parent) if parent else self._root
        fill = {"f": np.nan, "b": False}.get(np.dtype(dtype).kind, -1)  # for layers that were not recorded
        return group.create_array(
            last, shape=shape, dtype=dtype, chunks=chunks, shards=shards, fill_value=fill, compressors=CHECKED
        )


def _chunks_and_shards(shape: tuple[int, int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The shapes of chunks and shards of an array [layers, neurons, tokens]. A chunk contains all tokens of as many
    neurons as fit into CHUNK_BYTES (a power of two), a shard the chunks of a layer that fit into MAX_SHARD_BYTES."""
    _, neurons, tokens = shape
    chunk = 1
    while chunk < 64 and 2 * chunk <= neurons and 4 * chunk * tokens <= CHUNK_BYTES:
        chunk *= 2
    whole = -(-neurons // chunk)
    fitting = max(1, MAX_SHARD_BYTES // (2 * tokens * chunk))
    return (1, chunk, tokens), (1, chunk * min(whole, fitting), tokens)
