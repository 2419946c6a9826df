"""Estimates the disk space that a result takes, and compares it with the free space before the result is written.

The estimates are lower bounds, so that a result that fits is never rejected.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from prunescope.jobs.failures import NoRoom

MIN_COMPRESSED = 0.5
"""Lower bound of compressed size / raw size of float16 activations, whose sign and ten mantissa bits hardly
compress."""

FLOAT16_BYTES = 2


def check_model(
    folder: Path, finished: Path, layers: Iterable[nn.Module], rest: Iterable[Tensor], one_file: int
) -> None:
    """Raise NoRoom when a pruned model does not fit on the disk.

    The decoder `layers` are written to the folder `finished`; files that exist there are subtracted. The tensors
    outside the layers (`rest`) are written to `folder`. A model of at most `one_file` bytes is then also joined into
    one file in `folder`; for a larger model, the files of the layers are hard-linked and take no further space.
    """
    inside, outside = _bytes(tensor for layer in layers for tensor in layer.state_dict().values()), _bytes(rest)
    whole = inside + outside
    there = sum(file.stat().st_size for file in finished.rglob("*") if file.is_file())
    coming = {finished: max(0, inside - there), folder: outside + (whole if whole <= one_file else 0)}
    _check(coming)


def check_attribution(folder: Path, layers: int, neurons: int, tokens: int, variants: int) -> None:
    """Raise NoRoom when an attribution does not fit on the disk: the compressed activations of all `variants`, the own
    parts of their changes (of all but the dense one), and the uncompressed activations of one variant, which are stored
    temporarily."""
    raw = layers * neurons * tokens * FLOAT16_BYTES
    _check({folder: raw + int((2 * variants - 1) * raw * MIN_COMPRESSED)})


def check_spool(folder: Path, shape: tuple[int, int, int], value_bytes: int) -> None:
    """Raise NoRoom when a temporary file of activations [layers, tokens, width] does not fit on the disk."""
    _check({folder: shape[0] * shape[1] * shape[2] * value_bytes})


def check_records(folder: Path, size: int) -> None:
    """Raise NoRoom when `size` bytes of results do not fit on the disk of `folder`."""
    _check({folder: size})


def free_bytes(folder: Path) -> int | None:
    """Free bytes for this user on the file system of `folder`; None if the file system does not report them."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    blocks = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return blocks * status.f_frsize if status.f_blocks else None


def _check(coming: dict[Path, int]) -> None:
    """Raise NoRoom when a file system has too little space. `coming`: folder -> bytes that will be written to it;
    folders on the same file system are added up."""
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
    """The size of the tensors in bytes when saved; tied tensors are saved once."""
    found: dict[object, int] = {}
    for tensor in tensors:
        own = (tensor.data_ptr(), tensor.shape) if tensor.device.type != "meta" else id(tensor)
        found[own] = tensor.numel() * tensor.element_size()
    return sum(found.values())
