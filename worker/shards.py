"""Writes safetensors files atomically, and joins several into one without loading them into memory."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from safetensors.torch import save_file
from torch import Tensor

from prunescope.lm.checkpoint import BITS, LENGTH_BYTES, METADATA, Entry, read_header

FORMAT = {"format": "pt"}


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Context manager: yield a temporary path beside `path`. At the end of the block, the file there is flushed to disk
    (fsync) and renamed to `path`; after an exception it is deleted."""
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
    """Write tensors to one safetensors file, atomically, with the default file permissions."""
    with written_atomically(path) as place:
        place.touch()
        mode = place.stat().st_mode
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, place, metadata=FORMAT)
        place.chmod(mode)  # save_file creates a file that only its owner can read


def entries(files: Sequence[Path]) -> dict[str, Entry]:
    """Tensor name -> entry (file, dtype, shape, byte range) of all tensors in the files, read from the headers only."""
    return {name: entry for file in files for name, entry in read_header(file).items()}


def join(files: Sequence[Path], path: Path) -> None:
    """Write the tensors of all files to one file, byte for byte the file that saving them together would have
    written."""
    write_entries(entries(files), path)


def write_entries(known: Mapping[str, Entry], path: Path) -> None:
    """Copy tensors (name -> entry in another file) into one safetensors file, a few MB at a time. The order is that of
    the library: wide dtypes first, so that all tensors are aligned."""
    names = sorted(known, key=lambda name: (-BITS[known[name].dtype], known[name].dtype, name))
    header: dict[str, Any] = {METADATA: FORMAT}
    at = 0
    for name in names:
        entry = known[name]
        size = entry.end - entry.begin
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    _write(len(text).to_bytes(LENGTH_BYTES, "little") + text, [known[name] for name in names], path)


def write_like(model: Path, known: Mapping[str, Entry], path: Path) -> None:
    """Copy tensors (name -> entry in another file) into one safetensors file with the same header and tensor order as
    the file `model`. Names, dtypes and shapes must be those of the tensors in `model`."""
    alike = read_header(model)
    assert {name: (entry.dtype, entry.shape) for name, entry in alike.items()} == {
        name: (entry.dtype, entry.shape) for name, entry in known.items()
    }
    with model.open("rb") as stream:
        length = stream.read(LENGTH_BYTES)
        header = length + stream.read(int.from_bytes(length, "little"))
    order = sorted(alike, key=lambda name: (alike[name].begin, alike[name].end))
    _write(header, [known[name] for name in order], path)


def write_index(files: Sequence[Path], path: Path) -> None:
    """Write the index of a model in shards (`model.safetensors.index.json`), which maps each tensor to its file."""
    known = entries(files)
    index = {
        "metadata": {"total_size": sum(entry.end - entry.begin for entry in known.values())},
        "weight_map": {name: known[name].file.name for name in sorted(known)},
    }
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def link_or_copy(file: Path, path: Path) -> None:
    """Hard-link `file` to `path`, or copy it if the file system does not support hard links."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)


def _write(header: bytes, data: Sequence[Entry], path: Path) -> None:
    with contextlib.ExitStack() as opened, path.open("wb") as target:
        streams = {file: opened.enter_context(file.open("rb")) for file in {entry.file for entry in data}}
        target.write(header)
        for entry in data:
            _copy(streams[entry.file], entry, target)


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
    """Flush a folder to disk (fsync), so that a renamed file in it survives a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
