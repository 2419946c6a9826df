"""Room on disks: how much a result takes, compared with what is free before anything of it is written.

The figures are lower bounds, so that nothing is refused that would fit.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from prunescope.jobs.failures import NoRoom

MIN_COMPRESSED = 0.5
"""Share of their bytes that compressed activations take at the least: the ten bits of a float16 that are no exponent
hardly shrink."""

FLOAT16_BYTES = 2


def check_model(
    folder: Path, finished: Path, layers: Iterable[nn.Module], rest: Iterable[Tensor], one_file: int
) -> None:
    """Raise NoRoom where a pruned model does not fit: its finished layers in `finished`, and in `folder` what lies
    outside of them (twice while it is sorted out). Up to `one_file` bytes the layers are joined into a file, and are
    there twice; above, their files get a second name."""
    inside, outside = _bytes(tensor for layer in layers for tensor in layer.state_dict().values()), _bytes(rest)
    whole = inside + outside
    there = sum(file.stat().st_size for file in finished.rglob("*") if file.is_file())
    coming = {finished: max(0, inside - there), folder: outside + (whole if whole <= one_file else 0)}
    _check(coming)


def check_attribution(folder: Path, layers: int, neurons: int, tokens: int, variants: int) -> None:
    """Raise NoRoom where activations do not fit: those of all `variants`, compressed, and of one as they come."""
    raw = layers * neurons * tokens * FLOAT16_BYTES
    _check({folder: raw + int(variants * raw * MIN_COMPRESSED)})


def free_bytes(folder: Path) -> int | None:
    """What this user can still write there; None where the file system does not tell."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    blocks = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return blocks * status.f_frsize if status.f_blocks else None


def _check(coming: dict[Path, int]) -> None:
    """`coming`: bytes that each folder is to take; those of one file system count together."""
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
    """Of tensors as they are saved: what is tied to another one is saved once."""
    found: dict[object, int] = {}
    for tensor in tensors:
        own = (tensor.data_ptr(), tensor.shape) if tensor.device.type != "meta" else id(tensor)
        found[own] = tensor.numel() * tensor.element_size()
    return sum(found.values())
