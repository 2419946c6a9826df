"""Artefacts: one folder for each kind and id, below a local folder or any fsspec address (`s3://bucket/folder`).

    models/<id>/            a Hugging Face folder with pruning.json beside the weights
    evaluations/<id>/       evaluation.json
    attributions/<id>/      a Zarr group
    explanations/<id>/      explanation.json, shares.npy, heads.npy
    corpora/<id>/           corpus.json, a record of each neuron for each model, the windows (store/corpora/folder.py)

An artefact is complete as soon as it exists: its files are written to a temporary folder, which is renamed at the end.
An object store cannot rename, so the file `complete` is uploaded last, and a folder without it is ignored. The finished
parts of a long job's artefact are in a folder `unfinished`, which remains if the worker is killed. Each artefact has a
manifest with the checksums of its files (`store/artefacts/manifest.py`).
"""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec

from prunescope.jobs.problems import not_found
from prunescope.store.artefacts.manifest import MANIFEST, read_manifest, verify_bytes, write_manifest
from prunescope.store.artefacts.unfinished import InUse, remove_unfinished, unfinished

KINDS = {
    "model": "models",
    "evaluation": "evaluations",
    "attribution": "attributions",
    "explanation": "explanations",
    "corpus": "corpora",
}
"""Kind -> name of the folder with the artefacts of this kind."""

COMPLETE = "complete"
_STAGING = ".staging"
_UNFINISHED = ".unfinished"
_ID = re.compile(r"[0-9a-f]{16}")


class Artefacts:
    """All artefacts below one address. `cache` is a local folder for copies of remote artefacts and for temporary
    folders; a remote address requires it, a local one does not use it."""

    def __init__(self, url: str | Path, cache: Path | None = None) -> None:
        self._files: Any
        self._files, root = fsspec.core.url_to_fs(str(url))
        self.root = str(root).rstrip("/")
        self.local = "file" in _protocols(self._files)
        if not self.local and cache is None:
            raise ValueError(f"{url} is not a local folder; give a cache folder for copies of its artefacts")
        self._local_root = Path(self.root) if self.local else Path(cache or "")

    def path(self, kind: str, name: str) -> str:
        """The fsspec address of an artefact's folder, for local artefacts its path; the artefact need not exist. Raises
        Problem 404 for an id that is not 16 hex digits, ValueError for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of artefact; known: {', '.join(KINDS)}")
        if not _ID.fullmatch(name):
            raise not_found(kind, name)
        place = f"{self.root}/{KINDS[kind]}/{name}"
        return place if self.local else str(self._files.unstrip_protocol(place))

    def local_path(self, kind: str, name: str) -> Path | None:
        """The path of an artefact's folder, which need not exist; None if artefacts are remote."""
        return Path(self.path(kind, name)) if self.local else None

    def exists(self, kind: str, name: str) -> bool:
        """Whether the artefact exists and is complete."""
        place = self.path(kind, name)
        return bool(self._files.isdir(place) if self.local else self._files.exists(f"{place}/{COMPLETE}"))

    def files(self, kind: str, name: str) -> dict[str, int]:
        """Relative name -> size in bytes of every file of an artefact except its manifest, sorted by name. Raises
        Problem 404 if there is no such artefact."""
        place = str(self._files._strip_protocol(self._existing_path(kind, name)))
        details: dict[str, dict[str, Any]] = self._files.find(place, detail=True)
        sizes = {file.removeprefix(place).lstrip("/"): int(info["size"]) for file, info in sorted(details.items())}
        return {file: size for file, size in sizes.items() if file not in (COMPLETE, MANIFEST)}

    def read(self, kind: str, name: str, file: str) -> bytes:
        """The contents of one file of an artefact. Raises Problem 404 if there is no such artefact or file. Raises
        Damaged if a local file differs from its checksum in the manifest; object stores verify checksums themselves."""
        self._check_exists(kind, name, file)
        contents: bytes = self._files.cat_file(f"{self.path(kind, name)}/{file}")
        folder = self.local_path(kind, name)
        if folder is not None and (known := read_manifest(folder)) is not None:
            verify_bytes(folder, file, contents, known)
        return contents

    @contextlib.contextmanager
    def open(self, kind: str, name: str, file: str) -> Iterator[Any]:
        """One file of an artefact as a binary stream, for downloads. Raises Problem 404 as `read` does; checksums are
        not verified."""
        self._check_exists(kind, name, file)
        with self._files.open(f"{self.path(kind, name)}/{file}", "rb") as stream:
            yield stream

    def fetch(self, kind: str, name: str) -> Path:
        """The path of a local folder with the artefact's files: the artefact itself, or a copy of a remote one in the
        cache. Raises Problem 404 if there is no such artefact."""
        place = self._existing_path(kind, name)
        if self.local:
            return Path(place)
        copy = self._local_root / KINDS[kind] / name
        if not (copy / COMPLETE).is_file():
            with self._temporary(kind, name) as folder:
                self._files.get(f"{place}/", f"{folder}/", recursive=True)
                _replace(folder, copy)
        return copy

    def fetch_model(self, name: str) -> Path:
        """The path of a local folder with the pruned model `pruned:<name>`. Raises Problem 404 if there is none."""
        return self.fetch("model", name)

    @contextlib.contextmanager
    def staging(self, kind: str, name: str) -> Iterator[Path]:
        """An empty local folder to write an artefact into. When the block ends, the folder gets a manifest and becomes
        the artefact, replacing one that exists. On any exception it is removed."""
        place = self.path(kind, name)
        with self._temporary(kind, name) as folder:
            yield folder
            write_manifest(folder)
            if self.local:
                _replace(folder, Path(place))
                return
            if self.exists(kind, name):
                self.remove(kind, name)
            self._files.put(f"{folder}/", f"{place}/", recursive=True)
            self._files.pipe_file(f"{place}/{COMPLETE}", b"")

    @contextlib.contextmanager
    def unfinished(self, kind: str, name: str, not_resumable: Callable[[BaseException], bool]) -> Iterator[Path]:
        """A local folder for finished parts of an artefact that is being made. It contains what an interrupted process
        left there. It is removed when the block ends without an exception, or with an exception for which
        `not_resumable` returns True: one after which the parts are of no use.

        If another process still has the folder, the block gets an empty temporary folder and starts from the beginning.
        """
        with contextlib.ExitStack() as stack:
            try:
                place = stack.enter_context(unfinished(self._unfinished_folder(kind, name), not_resumable))
            except InUse:
                place = stack.enter_context(self._temporary(kind, name))
            yield place

    def remove(self, kind: str, name: str) -> None:
        """Remove an artefact; does nothing if it does not exist."""
        place = self.path(kind, name)
        if self.local:
            folder = Path(place)
            if folder.exists():
                # Renamed first, so that the artefact disappears at once, even if removing many files takes a while.
                with self._temporary(kind, name) as trash:
                    folder.rename(trash / "removed")
            return
        if self._files.exists(f"{place}/{COMPLETE}"):
            self._files.rm_file(f"{place}/{COMPLETE}")
        if self._files.exists(place):
            self._files.rm(place, recursive=True)
        shutil.rmtree(self._local_root / KINDS[kind] / name, ignore_errors=True)

    def remove_abandoned(self, older_than_seconds: float = 7 * 24 * 3600) -> int:
        """Remove temporary and unfinished folders in which nothing has changed for `older_than_seconds`; returns how
        many. Killed processes leave such folders behind. Younger folders may belong to a process that still writes, or
        to a job that waits."""
        removed = 0
        for folder in [*(self._local_root / _STAGING).glob("*"), *(self._local_root / _UNFINISHED).glob("*")]:
            try:
                newest = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
            except FileNotFoundError:  # another process has just renamed or removed a file, so the folder is in use
                continue
            if newest < time.time() - older_than_seconds and remove_unfinished(folder):
                removed += 1
        return removed

    def _existing_path(self, kind: str, name: str) -> str:
        if not self.exists(kind, name):
            raise not_found(kind, name)
        return self.path(kind, name)

    def _check_exists(self, kind: str, name: str, file: str) -> None:
        if file not in self.files(kind, name):
            raise not_found(f"file of {kind} {name}", file)

    def _unfinished_folder(self, kind: str, name: str) -> Path:
        self.path(kind, name)  # raises for an invalid kind or id
        return self._local_root / _UNFINISHED / f"{kind}-{name}"

    @contextlib.contextmanager
    def _temporary(self, kind: str, name: str) -> Iterator[Path]:
        folder = self._local_root / _STAGING / f"{kind}-{name}-{uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _replace(folder: Path, place: Path) -> None:
    """Rename `folder` to `place`. If there is a folder with files already, which rename cannot overwrite, it is moved
    away and removed first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folder.rename(place)
            return
        except OSError:
            if not place.is_dir():
                raise
        before = folder.with_name(f"{folder.name}-before")
        with contextlib.suppress(FileNotFoundError):  # another process has moved it away
            place.rename(before)
        shutil.rmtree(before, ignore_errors=True)
