"""Checksums of an artefact's files, written with the artefact and verified when the files are read.

`manifest.json` in the artefact's folder: {"algorithm": "sha256", "files": {relative name: {"sha256": hex digits,
"bytes": size}}}. Artefacts of earlier versions and folders that users provide have no manifest; their files are read
without verification.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prunescope.jobs.problems import Problem

MANIFEST = "manifest.json"
ALGORITHM = "sha256"
REMEDY = "make it again with force"


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 (hex digits) and the size in bytes of one file of an artefact when it was written."""

    sha256: str
    bytes: int


class Damaged(Problem):
    """Status 409: a file of an artefact is missing or differs from what was written. `file` is its relative name;
    `remedy` is the end of the message, which says what to do."""

    def __init__(self, folder: Path, file: str, reason: str, remedy: str = REMEDY) -> None:
        artefact = f"{folder.parent.name}/{folder.name}"
        super().__init__(409, "damaged", "An artefact is damaged", f"{artefact} is damaged: {file} {reason}; {remedy}")
        self.file = file


def write_manifest(folder: Path) -> None:
    """Write `manifest.json` with the checksums of all files below a folder."""
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file != folder / MANIFEST:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, ALGORITHM).hexdigest()
            files[file.relative_to(folder).as_posix()] = {"sha256": digest, "bytes": file.stat().st_size}
    document = {"algorithm": ALGORITHM, "files": files}
    (folder / MANIFEST).write_text(json.dumps(document, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Mapping[str, Checksum] | None:
    """Relative name -> checksum of the files of an artefact; None if it has no manifest. Raises Damaged if the manifest
    is malformed."""
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        if document["algorithm"] != ALGORITHM:
            raise Damaged(folder, MANIFEST, f"has checksums of another algorithm than {ALGORITHM}")
        return {name: Checksum(str(about["sha256"]), int(about["bytes"])) for name, about in document["files"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(folder, MANIFEST, "cannot be read") from error


def verify(
    folder: Path,
    names: Iterable[str] | None = None,
    remedy: str = REMEDY,
    contents: Callable[[str], bool] = lambda name: True,
) -> None:
    """Compare the named files of an artefact (None: all) with its manifest.

    A file is read once and its checksum compared if `contents` returns True for its name; otherwise only its size is
    compared. Does nothing if the artefact has no manifest. Raises Damaged for the first file that is missing or
    differs; `remedy` is the end of the message, which says what to do.
    """
    known = read_manifest(folder)
    if known is None:
        return
    for name in known if names is None else names:
        if name not in known:
            raise Damaged(folder, name, "is not in the artefact's manifest", remedy)
        try:
            size = (folder / name).stat().st_size
            if size != known[name].bytes:
                raise Damaged(folder, name, f"has {size} bytes, not the {known[name].bytes} that were written", remedy)
            if not contents(name):
                continue
            with (folder / name).open("rb") as stream:
                digest = hashlib.file_digest(stream, ALGORITHM).hexdigest()
        except OSError as error:
            raise Damaged(folder, name, f"cannot be read ({error.strerror})", remedy) from error
        if digest != known[name].sha256:
            raise Damaged(folder, name, "is not what was written (its sha256 differs)", remedy)


def verify_bytes(folder: Path, name: str, data: bytes, known: Mapping[str, Checksum], remedy: str = REMEDY) -> None:
    """Compare the contents of one file with its checksum in `known` (from `read_manifest`). Raises Damaged if they
    differ or `known` has no such file."""
    if name not in known:
        raise Damaged(folder, name, "is not in the artefact's manifest", remedy)
    if hashlib.sha256(data).hexdigest() != known[name].sha256:
        raise Damaged(folder, name, "is not what was written (its sha256 differs)", remedy)
