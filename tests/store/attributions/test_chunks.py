"""Rows read past Zarr are the rows that Zarr reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.chunks import RowReader
from tests.server.made_up import VARIANTS, write_made_up

SHAPES: list[tuple[tuple[int, int, int], int, int]] = [
    # shape, neurons in a chunk, neurons in a shard
    ((2, 10, 7), 1, 10),
    ((2, 10, 7), 4, 12),
    ((2, 21, 5), 4, 8),
    ((1, 1, 1), 1, 1),
    ((3, 64, 33), 16, 64),
]


def make(
    folder: Path, shape: tuple[int, int, int], chunk: int, shard: int, dtype: str = "float16"
) -> "zarr.Array[Any]":
    chunks, shards = (1, chunk, shape[2]), (1, shard, shape[2])
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    return group.create_array("a", shape=shape, dtype=dtype, chunks=chunks, shards=shards, fill_value=np.nan)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("shape", "chunk", "shard"), SHAPES)
def test_every_row_is_the_one_that_zarr_reads(
    tmp_path: Path, shape: tuple[int, int, int], chunk: int, shard: int, dtype: str
) -> None:
    array = make(tmp_path, shape, chunk, shard, dtype)
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    values[0, 0, 0] = np.nan
    array[...] = values
    reader = RowReader.of(tmp_path / "a")
    assert reader is not None
    for first in range(shape[0]):
        for second in range(shape[1]):
            np.testing.assert_array_equal(reader.row(first, second), np.asarray(array[first, second, :]))
    for outside in ((-1, 0), (0, -1), (shape[0], 0), (0, shape[1])):
        with pytest.raises(IndexError):
            reader.row(*outside)


def test_what_was_never_written_is_nan(tmp_path: Path) -> None:
    array = make(tmp_path, (3, 16, 4), 4, 8)
    array[1, 0:4, :] = 1.0
    reader = RowReader.of(tmp_path / "a")
    assert reader is not None
    assert reader.row(1, 3).tolist() == [1.0] * 4
    for place in ((0, 0), (1, 4), (1, 12), (2, 15)):
        assert np.isnan(reader.row(*place)).all()


def test_other_forms_are_left_to_zarr(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path), mode="w", zarr_format=3)
    group.create_array("plain", shape=(2, 4, 3), dtype="float16", chunks=(1, 2, 3))
    group.create_array("cut", shape=(2, 4, 6), dtype="float16", chunks=(1, 2, 3), shards=(1, 4, 6), fill_value=np.nan)
    group.create_array("whole", shape=(2, 4, 3), dtype="int32", chunks=(1, 2, 3), shards=(1, 4, 3))
    for name in ("plain", "cut", "whole", "nothing"):
        assert RowReader.of(tmp_path / name) is None


def test_a_store_gives_the_same_neurons_with_and_without_it(tmp_path: Path) -> None:
    made = write_made_up(tmp_path / "store")
    near, far = ActivationStore(made.path), ActivationStore(f"file://{made.path}")
    for layer, neuron in ((0, 0), (1, 17), (2, 39)):
        for name in VARIANTS:
            expected = made.activations[name][layer, neuron].astype(np.float32)
            np.testing.assert_array_equal(near.neuron(layer, neuron)[name], expected)
            np.testing.assert_array_equal(far.neuron(layer, neuron)[name], expected)
            np.testing.assert_array_equal(near.words_of(layer, neuron)[name], far.words_of(layer, neuron)[name])
