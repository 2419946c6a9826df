"""Numbered JSON values in a file, each of which is read without the others.

<name>.jsonl    one value in each line
<name>.npy      for each value its offset in bytes, its length in bytes, and the CRC-32 of its bytes
"""

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from prunescope.store.artefacts.manifest import Damaged

INDEX = np.dtype([("offset", "<i8"), ("length", "<i4"), ("checksum", "<u4")])


class LineWriter:
    """Appends values to the file `<name>.jsonl` of a folder; at the end of the `with` block, the index is written."""

    def __init__(self, folder: Path, name: str) -> None:
        self._index = folder / f"{name}.npy"
        self._file = (folder / f"{name}.jsonl").open("wb")
        self._entries: list[tuple[int, int, int]] = []
        self._offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None:
            np.save(self._index, np.array(self._entries, dtype=INDEX))

    def add(self, value: object) -> None:
        """Append a value."""
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._file.write(line)
        self._entries.append((self._offset, len(line), zlib.crc32(line)))
        self._offset += len(line)


class Lines:
    """Reads the values of a file that `LineWriter` wrote. Raises Damaged for one that cannot be read or was changed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, f"{name}.jsonl"
        try:
            self._index = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise Damaged(folder, f"{name}.npy", "cannot be read") from error

    def __len__(self) -> int:
        return len(self._index)

    def read(self, numbers: Iterable[int]) -> dict[int, Any]:
        """Number -> value. Negative numbers and numbers beyond the last are left out."""
        found: dict[int, Any] = {}
        try:
            descriptor = os.open(self._folder / self._name, os.O_RDONLY)
        except OSError as error:
            raise Damaged(self._folder, self._name, "cannot be read") from error
        try:
            for number in sorted({number for number in numbers if 0 <= number < len(self._index)}):
                offset, length, checksum = self._index[number].tolist()
                line = os.pread(descriptor, length, offset)
                if zlib.crc32(line) != checksum:
                    raise Damaged(self._folder, self._name, f"is not what was written (line {number + 1})")
                found[number] = json.loads(line)
        finally:
            os.close(descriptor)
        return found
