"""The results of one model: one record of fixed size for each neuron, so that a neuron is read by one access.

`model-<n>.npy` [layers, neurons] has the type `record_type`. A record ends with the CRC-32 of its other bytes.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.store.artefacts.manifest import Damaged

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles of the field `quantiles`."""
WRITTEN = 20
"""Tokens in each of the fields `up` and `down`."""
NO_WINDOW = -1
"""The window of an empty place among a neuron's examples."""
CHECKSUM_BYTES = 4


def record_type(examples: int, *, writes: bool) -> np.dtype[Any]:
    """The type of a neuron's record. `highest` and `lowest`: `examples` extreme activations, the most extreme first:
    the model's own activation (`value`) with its window and position. `here`: this model's activations at the first
    model's examples. `up` and `down`: ids of the tokens that the neuron writes, with the change of their logits."""
    example = [("value", "<f4"), ("window", "<i4"), ("position", "<i4"), ("here", "<f4")]
    fields: list[Any] = [
        *((name, "<f4") for name in ("mean", "deviation", "minimum", "maximum", "density")),
        ("quantiles", "<f4", (len(QUANTILES),)),
        ("highest", example, (examples,)),
        ("lowest", example, (examples,)),
    ]
    if writes:
        for name in ("up", "down"):
            fields += [(name, "<i4", (WRITTEN,)), (f"{name}_values", "<f4", (WRITTEN,))]
    return np.dtype([*fields, ("checksum", "<u4")])


def file_name(model: int) -> str:
    """The name of the file with the results of a model."""
    return f"model-{model}.npy"


def write_records(path: Path, shape: tuple[int, int], layers: Iterable[NDArray[Any]]) -> None:
    """Write the records of [layers, neurons], given layer by layer, with their checksums."""
    with path.open("wb") as file:
        for index, layer in enumerate(layers):
            if index == 0:
                about = {"descr": np.lib.format.dtype_to_descr(layer.dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, about)
            rows = np.ascontiguousarray(layer).view(np.uint8).reshape(len(layer), -1)
            layer["checksum"] = [zlib.crc32(row[:-CHECKSUM_BYTES].tobytes()) for row in rows]
            file.write(layer.tobytes())


def read_record(folder: Path, model: int, layer: int, neuron: int) -> np.void:
    """The record of one neuron; `layer` is an index among the stored layers. Raises Damaged if the file cannot be read
    or the record was changed."""
    name = file_name(model)
    try:
        stored = np.load(folder / name, mmap_mode="r", allow_pickle=False)
        record: np.void = stored[layer, neuron]
        content = record.tobytes()
    except (OSError, ValueError, IndexError) as error:
        raise Damaged(folder, name, "cannot be read") from error
    if zlib.crc32(content[:-CHECKSUM_BYTES]) != int(record["checksum"]):
        raise Damaged(folder, name, f"is not what was written (neuron {neuron})")
    return record
