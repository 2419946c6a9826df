"""Safetensors that are put together without being held: the same bytes as the library's own."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from prunescope.lm.errors import NoSafetensors
from prunescope.worker.shards import (
    FORMAT,
    entries,
    join,
    link_or_copy,
    save_tensors,
    write_index,
    write_like,
    written_atomically,
)

NAMES = st.text("abc.é0", min_size=1, max_size=8)
TYPES = st.sampled_from([torch.float32, torch.float16])


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.tuples(TYPES, st.lists(st.integers(0, 3), max_size=3)), min_size=2), st.data())
def test_joined_files_are_those_of_the_library(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[torch.dtype, list[int]]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("join")
    tensors = {name: torch.randn(shape).to(dtype) for name, (dtype, shape) in shapes.items()}
    cut = data.draw(st.integers(1, len(tensors) - 1))
    parts = [dict(list(tensors.items())[:cut]), dict(list(tensors.items())[cut:])]
    files = [folder / "1", folder / "2"]
    for part, file in zip(parts, files, strict=True):
        save_tensors(part, file)
    join(files, folder / "joined")
    save_file(tensors, folder / "whole", metadata=FORMAT)
    assert (folder / "joined").read_bytes() == (folder / "whole").read_bytes()


def test_types_of_every_width(tmp_path: Path) -> None:
    tensors = {
        str(dtype): torch.ones(3, dtype=dtype)
        for dtype in (torch.bool, torch.int8, torch.float16, torch.bfloat16, torch.float32, torch.int64)
    }
    for number, (name, tensor) in enumerate(tensors.items()):
        save_tensors({name: tensor}, tmp_path / str(number))
    join([tmp_path / str(number) for number in range(len(tensors))], tmp_path / "joined")
    loaded = load_file(tmp_path / "joined")
    assert all(
        torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_an_index(tmp_path: Path) -> None:
    save_tensors({"b": torch.zeros(2, 3), "a": torch.zeros(1)}, tmp_path / "1")
    save_tensors({"c": torch.zeros(4).half()}, tmp_path / "2")
    write_index([tmp_path / "1", tmp_path / "2"], tmp_path / "index")
    assert json.loads((tmp_path / "index").read_text()) == {
        "metadata": {"total_size": 36},
        "weight_map": {"a": "1", "b": "1", "c": "2"},
    }
    assert entries([tmp_path / "1"])["b"].shape == (2, 3)


def test_a_file_that_was_cut_is_not_joined(tmp_path: Path) -> None:
    save_tensors({"a": torch.zeros(100)}, tmp_path / "1")
    os.truncate(tmp_path / "1", 200)
    with pytest.raises(NoSafetensors, match="was cut off"):
        join([tmp_path / "1"], tmp_path / "2")


def test_a_name_stands_for_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "a") as place:
        place.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_files_are_readable_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save_tensors({"a": torch.zeros(1)}, tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_second_name_where_there_can_be_none_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").samefile(tmp_path / "a")

    def refuse(*_: object) -> None:
        raise OSError("no links on this file system")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "x" and not (tmp_path / "c").samefile(tmp_path / "a")


def test_a_file_like_another_is_the_same_but_for_its_tensors(tmp_path: Path) -> None:
    """Names, order, metadata and alignment are those of the file, whoever wrote it."""
    header = {"__metadata__": {"format": "mlx"}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header["a"] = {"dtype": "I8", "shape": [3], "data_offsets": [4, 7]}
    text = json.dumps(header, indent=2).encode() + b" "
    (tmp_path / "model").write_bytes(len(text).to_bytes(8, "little") + text + b"bbbbaaa")
    write_like(tmp_path / "model", entries([tmp_path / "model"]), tmp_path / "same")
    assert (tmp_path / "same").read_bytes() == (tmp_path / "model").read_bytes()
    save_tensors({"b": torch.ones(1)}, tmp_path / "other")
    known = entries([tmp_path / "model"]) | entries([tmp_path / "other"])
    write_like(tmp_path / "model", known, tmp_path / "pruned")
    assert (tmp_path / "pruned").read_bytes() == (tmp_path / "model").read_bytes()[:-7] + b"\0\0\x80?aaa"
