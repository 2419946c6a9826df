"""Safetensors on disk: written so that a name stands for a whole file, and put together without being held in memory.

A safetensors file is the length of its header (8 bytes, little endian), the header (JSON: name -> dtype, shape and
first and last byte of the data), and the data.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from safetensors.torch import save_file
from torch import Tensor

LENGTH_BYTES = 8
METADATA = "__metadata__"
FORMAT = {"format": "pt"}
BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BOOL": 8, "U8": 8, "I8": 8}
"""Bits of the types that are not 16 wide; only for the order, in which wide ones come first so that all are aligned."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: what its header says but for the place, and where its data begin and end in the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write, which gets its name when the block ends well and its contents are on the disk."""
    place = path.with_name(f".{path.name}.partial")
    try:
        yield place
        with place.open("rb") as stream:
            os.fsync(stream.fileno())
        place.replace(path)
        _sync_folder(path.parent)
    finally:
        place.unlink(missing_ok=True)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as one safetensors file, whole or not at all, readable like any other file."""
    with written_whole(path) as place:
        place.touch()
        mode = place.stat().st_mode
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, place, metadata=FORMAT)
        place.chmod(mode)  # the library's files are readable by their owner alone


def entries(files: Sequence[Path]) -> dict[str, Entry]:
    """Name -> entry of all tensors in the files, read from their headers alone."""
    found: dict[str, Entry] = {}
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop(METADATA, None)
        start = LENGTH_BYTES + length
        for name, about in header.items():
            begin, end = about["data_offsets"]
            found[name] = Entry(file, about["dtype"], tuple(about["shape"]), start + begin, start + end)
    return found


def join(files: Sequence[Path], path: Path) -> None:
    """Write the tensors of all files into one, a piece at a time: the same bytes as if they had been saved together."""
    known = entries(files)
    names = sorted(known, key=lambda name: (-BITS.get(known[name].dtype, 16), known[name].dtype, name))
    header: dict[str, Any] = {METADATA: FORMAT}
    at = 0
    for name in names:
        entry = known[name]
        size = entry.end - entry.begin
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    with contextlib.ExitStack() as opened, path.open("wb") as target:
        streams = {file: opened.enter_context(file.open("rb")) for file in files}
        target.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for name in names:
            _copy(streams[known[name].file], known[name], target)


def write_index(files: Sequence[Path], path: Path) -> None:
    """Write the index that tells which of the files holds which tensor."""
    known = entries(files)
    index = {
        "metadata": {"total_size": sum(entry.end - entry.begin for entry in known.values())},
        "weight_map": {name: known[name].file.name for name in sorted(known)},
    }
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def link_or_copy(file: Path, path: Path) -> None:
    """Give a file a second name, or where the file system has none a copy."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)


def _copy(source: BinaryIO, entry: Entry, target: BinaryIO, piece: int = 1 << 22) -> None:
    source.seek(entry.begin)
    left = entry.end - entry.begin
    while left:
        data = source.read(min(piece, left))
        if not data:
            raise EOFError(f"{entry.file} ends {left} bytes too early")
        target.write(data)
        left -= len(data)


def _sync_folder(folder: Path) -> None:
    """So that a new name in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
