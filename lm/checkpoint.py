"""Reads the weight files of a checkpoint folder and their safetensors headers. No tensor data is read, except to
compare two tensors of the same name.

    model.safetensors                              used when it exists, even beside an index, as in transformers
    model.safetensors.index.json                   a map from tensors to files; its `metadata` may be missing
    model-00001-of-00002.safetensors, ...          the complete set of shards, when there is no index
    model.<variant>.safetensors, or its index or   when there is only one variant and no plain file
    its set (model.<variant>-00001-of-00002 or
    model-00001-of-00002.<variant>)

A safetensors file is the length of its header (8 bytes, little endian), the header (JSON: name -> dtype, shape, first
and last byte of the data), and the data.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from prunescope.lm.errors import NoSafetensors, UnsupportedModel
from prunescope.lm.folders import LFS_MARK, not_there, without_weights

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
METADATA = "__metadata__"
BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
}
"""Bits per element of each safetensors dtype."""
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Name components that torch.compile, FSDP and activation checkpointing insert."""
DISTRIBUTED = "module."
"""The prefix that DistributedDataParallel gives all tensor names."""

_SHARD = re.compile(r"model(\.(?P<before>\w+))?-(?P<number>\d+)-of-(?P<count>\d+)(\.(?P<behind>\w+))?\.safetensors")
_VARIANT = re.compile(r"model\.(?P<file>\w+)\.safetensors|model\.safetensors\.index\.(?P<index>\w+)\.json")


@dataclass(frozen=True)
class Entry:
    """One tensor of a safetensors file: its name in the file (`key`), dtype, shape, and the byte range [begin, end) of
    its data in the file."""

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Checkpoint:
    """All tensors of a checkpoint, by their name in the files without WRAPPERS and DISTRIBUTED."""

    files: tuple[Path, ...]
    entries: Mapping[str, Entry]


def read_checkpoint(folder: Path, reference: str) -> Checkpoint:
    """Read the headers of a folder's weight files. Raises NoSafetensors when files are missing, truncated or invalid,
    and when two of them contain different tensors of the same name."""
    files = weight_files(folder, reference)
    entries: dict[str, Entry] = {}
    for file in files:
        if (rest := file.with_name(f"{file.name}.aria2")).exists():
            raise NoSafetensors(
                f"{reference}: the download of {file.name} has not ended ({rest.name} is beside it), and the missing "
                f"parts are zeros; resume the download"
            )
        for key, entry in read_header(file).items():
            if key in entries and not _same_contents(entries[key], entry):
                raise NoSafetensors(
                    f"{reference}: tensor {key} is in {entries[key].file.name} and, with other contents, in "
                    f"{file.name}; remove the file that does not belong to the model"
                )
            entries.setdefault(key, entry)
    return Checkpoint(tuple(files), _unwrapped(entries, reference))


def weight_files(folder: Path, reference: str) -> list[Path]:
    """Return the weight files of a folder. Raises NoSafetensors when there are none; the message says what the folder
    contains instead."""
    for name in (WHOLE, INDEX):
        if (wrong := not_there(folder / name)) is not None:
            raise NoSafetensors(f"{reference}: its {name} {wrong}")
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if (folder / INDEX).is_file():
        return _indexed(folder, folder / INDEX, reference)
    names = sorted(path.name for path in folder.iterdir())
    sets = _sets(names)
    if "" in sets:
        return [folder / name for name in _whole_set(sets[""], reference)]
    variants = {
        **sets,
        **{found["file"] or found["index"]: [name] for name in names if (found := _VARIANT.fullmatch(name))},
    }
    if len(variants) > 1:
        raise NoSafetensors(
            f"{reference}: the folder has no {WHOLE} but the variants {', '.join(sorted(variants))}; rename the one "
            f"that is meant to {WHOLE}, or move the others away"
        )
    for name, *others in variants.values():
        if (wrong := not_there(folder / name)) is not None:
            raise NoSafetensors(f"{reference}: its {name} {wrong}")
        if name.endswith(".json"):
            return _indexed(folder, folder / name, reference)
        whole = [name] if _VARIANT.fullmatch(name) else _whole_set([name, *others], reference)
        return [folder / one for one in whole]
    raise NoSafetensors(f"{reference}: {without_weights(folder)}")


def read_header(file: Path) -> dict[str, Entry]:
    """Return the entries of one safetensors file by name. Raises NoSafetensors for a file of another format or a header
    that does not match the file's size."""

    def unreadable(reason: str) -> NoSafetensors:
        return NoSafetensors(f"{file}: not a readable safetensors file: {reason}")

    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(LENGTH_BYTES)
            length = int.from_bytes(start, "little")
            text = stream.read(length) if length <= MAX_HEADER_BYTES else stream.read(64)
    except OSError as error:
        raise unreadable(f"it cannot be read ({error.strerror})") from error
    if not size:
        raise unreadable("it is empty (0 bytes); download it again")
    if (start + text).startswith(LFS_MARK):
        raise unreadable("it is a Git LFS pointer, not the weights; run `git lfs pull` in the folder it came from")
    if size < LENGTH_BYTES + length or length > MAX_HEADER_BYTES:
        raise unreadable(_looks_like(start + text, f"it has {size} bytes, and its header alone would have {length}"))
    try:
        header: Any = json.loads(text)
        header.pop(METADATA, None)
        entries = {
            key: Entry(
                file,
                key,
                about["dtype"],
                tuple(about["shape"]),
                *(LENGTH_BYTES + length + place for place in about["data_offsets"]),
            )
            for key, about in header.items()
        }
        wrong = next((wrong for entry in entries.values() if (wrong := _entry_error(entry)) is not None), None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise unreadable(_looks_like(start + text, "its header is not a map of tensors")) from error
    if wrong is not None:
        raise unreadable(wrong)
    at = LENGTH_BYTES + length
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            raise unreadable(f"the data of {entry.key} begin at byte {entry.begin}, not where those before end ({at})")
        at = entry.end
    if at != size:
        raise unreadable(
            f"it has {size} bytes, but its header says {at}"
            + (": it was cut off, download it again" if size < at else ": something was appended to it")
        )
    return entries


def floating_type(checkpoint: Checkpoint, reference: str, known: Iterable[str]) -> str:
    """Return the dtype, one of `known`, of most of the checkpoint's elements.

    Integer tensors are ignored unless there are no others, because the causal masks in small GPT-NeoX checkpoints
    outnumber the weights. Raises UnsupportedModel for packed (quantised) weights.
    """
    numbers: dict[str, int] = {}
    for name, entry in checkpoint.entries.items():
        if "F" in entry.dtype and entry.dtype not in known:
            raise UnsupportedModel(
                f"{reference}: {name} is stored as {entry.dtype} (quantised); give the model in float32, float16 or "
                f"bfloat16"
            )
        numbers[entry.dtype] = numbers.get(entry.dtype, 0) + prod(entry.shape)
    floats = {kind: count for kind, count in numbers.items() if kind in known}
    if not floats:
        kinds = ", ".join(sorted(numbers)) or "no numbers"
        raise UnsupportedModel(f"{reference}: stored as {kinds} (quantised?); give the model in float32 or float16")
    return max(floats, key=lambda kind: floats[kind])


def named(names: Iterable[str], most: int = 3) -> str:
    """Return the first `most` names, sorted, and the number of the others: "a, b, c and 5 more"."""
    found = sorted(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _indexed(folder: Path, index: Path, reference: str) -> list[Path]:
    """Return the weight files that an index names. Raises NoSafetensors for an invalid index, a file outside the
    folder, or a missing file."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"]
        names = sorted(set(weight_map.values()))
        outside = [name for name in names if not _inside(name)]
    except OSError as error:
        raise NoSafetensors(f"{index}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoSafetensors(f"{index}: not an index of safetensors with a weight_map; save the model again") from error
    if outside:
        raise NoSafetensors(
            f"{reference}: its {index.name} names {outside[0]!r}, which lies outside of the folder; put the file into "
            f"the folder and its bare name into the index"
        )
    if not names:
        raise NoSafetensors(f"{reference}: its {index.name} names no files; save the model again")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        reason = next((f" ({name} {wrong})" for name in absent if (wrong := not_there(folder / name))), "; copy them")
        raise NoSafetensors(
            f"{reference}: {len(absent)} of its {len(names)} safetensors are missing: {named(absent)}{reason}"
        )
    return [folder / name for name in names]


def _inside(name: str) -> bool:
    """Return whether a file name in an index is a relative path that stays inside the folder."""
    path = PurePosixPath(name)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and not {"..", "~"} & set(path.parts)
        and not set("\\\0") & set(name)
    )


def _sets(names: Sequence[str]) -> dict[str, list[str]]:
    """Group the shards in a folder without an index by variant ("" for none)."""
    found: dict[str, list[str]] = {}
    for name in names:
        if shard := _SHARD.fullmatch(name):
            found.setdefault(shard["before"] or shard["behind"] or "", []).append(name)
    return found


def _whole_set(names: list[str], reference: str) -> list[str]:
    """Return the shards unchanged if they are a complete set. Raises NoSafetensors when shards are missing."""
    shards = [shard for name in names if (shard := _SHARD.fullmatch(name))]
    counts = {int(shard["count"]) for shard in shards}
    numbers = {int(shard["number"]) for shard in shards}
    if len(counts) > 1 or len(shards) != len(numbers) or numbers != set(range(1, max(counts) + 1)):
        raise NoSafetensors(
            f"{reference}: the folder has {len(shards)} shards ({named(names)}) and neither all that belong together "
            f"nor an index ({INDEX}); copy the rest"
        )
    return names


def _entry_error(entry: Entry) -> str | None:
    """Return why a single header entry is invalid, None for a valid one. Raises ValueError for a shape or byte range
    that are not natural numbers."""
    numbers = (*entry.shape, entry.begin, entry.end)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(entry.key)
    if entry.dtype not in BITS:
        return f"{entry.key[:60]} has the unknown type {str(entry.dtype)[:20]!r}"
    if (wanted := prod(entry.shape) * BITS[entry.dtype]) != 8 * (entry.end - entry.begin):
        held = entry.end - entry.begin
        return f"{entry.key[:60]} {list(entry.shape)} in {entry.dtype} takes {wanted // 8} bytes, not {held}"
    return None


def _looks_like(start: bytes, otherwise: str) -> str:
    """Return a description of a file that is not safetensors, by its first bytes; `otherwise` if they are not
    recognised."""
    marks = {
        b"PK\3\4": "it is a PyTorch file (pickle) with another name; load it where you trust it and save it again",
        b"\x80\2": "it is a PyTorch file (pickle) with another name; load it where you trust it and save it again",
        b"GGUF": "it is a GGUF file with another name; give the model that it was made from",
        b"<": "it is a web page, not weights; download it again",
        b"\x89HDF": "it is a TensorFlow file with another name; save the model as safetensors",
    }
    text = start.strip()
    if text and text.isascii() and text.decode().isprintable():
        shown = text.decode()[:100]
        otherwise = (
            f"it is the text {shown!r} (a link that was copied as text, or a server's error message); "
            f"copy the file itself"
        )
    return next((said for mark, said in marks.items() if start.lstrip().startswith(mark)), otherwise)


def _same_contents(one: Entry, other: Entry, piece: int = 1 << 20) -> bool:
    """Return whether two entries have the same dtype, shape and bytes; `piece` bytes are compared at a time."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    with one.file.open("rb") as first, other.file.open("rb") as second:
        first.seek(one.begin)
        second.seek(other.begin)
        for left in range(one.end - one.begin, 0, -piece):
            if first.read(min(piece, left)) != second.read(min(piece, left)):
                return False
    return True


def _unwrapped(entries: Mapping[str, Entry], reference: str) -> dict[str, Entry]:
    """Return the entries by names without the components that wrappers insert. Raises NoSafetensors when two names
    become equal."""
    found: dict[str, Entry] = {}
    everywhere = bool(entries) and all(key.startswith(DISTRIBUTED) for key in entries)
    for key, entry in entries.items():
        name = key
        for wrapper in WRAPPERS:
            name = name.replace(wrapper, "")
        if everywhere or name != key:
            name = name.removeprefix(DISTRIBUTED)
        if name in found:
            raise NoSafetensors(
                f"{reference}: tensors {found[name].key} and {key} have the same name without the prefixes of "
                f"wrappers; save the model again"
            )
        found[name] = entry
    return found
