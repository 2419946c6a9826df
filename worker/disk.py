"""Disk space checks: estimates how much a result takes and compares it with the free space before writing.

The estimates are lower bounds, so that nothing that would fit is refused.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from prunescope.jobs.failures import NoRoom

MIN_COMPRESSED = 0.5
"""Lower bound on the compression ratio of activations: the ten mantissa bits and sign of a float16 hardly compress."""

FLOAT16_BYTES = 2


def check_model(
    folder: Path, finished: Path, layers: Iterable[nn.Module], rest: Iterable[Tensor], one_file: int
) -> None:
    """Raise NoRoom when a pruned model does not fit on the disk. Its layers are written to `finished` (files that are
    there count), the tensors outside the layers to `folder`. A model of up to `one_file` bytes is joined into one more
    file in `folder`; for a larger one the layers' files are hard-linked and take no more space."""
    inside, outside = _bytes(tensor for layer in layers for tensor in layer.state_dict().values()), _bytes(rest)
    whole = inside + outside
    there = sum(file.stat().st_size for file in finished.rglob("*") if file.is_file())
    coming = {finished: max(0, inside - there), folder: outside + (whole if whole <= one_file else 0)}
    _check(coming)


def check_attribution(folder: Path, layers: int, neurons: int, tokens: int, variants: int) -> None:
    """Raise NoRoom when an attribution does not fit: the compressed activations of all `variants`, and the raw ones of
    a single variant."""
    raw = layers * neurons * tokens * FLOAT16_BYTES
    _check({folder: raw + int(variants * raw * MIN_COMPRESSED)})


def free_bytes(folder: Path) -> int | None:
    """Free bytes for this user; None when the file system does not report it."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    blocks = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return blocks * status.f_frsize if status.f_blocks else None


def _check(coming: dict[Path, int]) -> None:
    """Raise NoRoom when a file system has too little space. `coming`: bytes to be written in each folder, which are
    added up for each file system."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in coming.items():
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        device = existing.stat().st_dev
        disks[device] = existing, disks.get(device, (existing, 0))[1] + size
    for place, size in disks.values():
        free = free_bytes(place)
        if free is not None and size > free:
            raise NoRoom(_mounted_at(place), size, free)


def _mounted_at(place: Path) -> Path:
    device = place.stat().st_dev
    return [folder for folder in (place, *place.resolve().parents) if folder.stat().st_dev == device][-1]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of the tensors when saved, where tied tensors are counted once."""
    found: dict[object, int] = {}
    for tensor in tensors:
        own = (tensor.data_ptr(), tensor.shape) if tensor.device.type != "meta" else id(tensor)
        found[own] = tensor.numel() * tensor.element_size()
    return sum(found.values())
