"""Artefacts: folders by kind and id, in a local folder or at any fsspec address (`s3://bucket/folder`).

    models/<id>/            a Hugging Face folder with pruning.json beside the weights
    evaluations/<id>/       evaluation.json
    attributions/<id>/      a Zarr group

A folder appears whole or not at all: it is written in a temporary place and renamed last. An object store has no
rename, so there the file `complete` is uploaded last, and a folder without it does not count. What a long job has
finished of an artefact waits in a folder of its own (`unfinished`) and outlives a worker that is killed. Each folder
has a manifest of its files' checksums (`store/artefacts/manifest.py`).
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

KINDS = {"model": "models", "evaluation": "evaluations", "attribution": "attributions"}
"""Kind -> folder."""

COMPLETE = "complete"
_STAGING = ".staging"
_UNFINISHED = ".unfinished"
_ID = re.compile(r"[0-9a-f]{16}")


class Artefacts:
    """All artefacts below one address. `cache`: a local folder for what is fetched from a remote address, and for
    staging."""

    def __init__(self, url: str | Path, cache: Path | None = None) -> None:
        self._files: Any
        self._files, root = fsspec.core.url_to_fs(str(url))
        self.root = str(root).rstrip("/")
        self.local = "file" in _protocols(self._files)
        if not self.local and cache is None:
            raise ValueError(f"{url} is not a local folder; give a cache folder for what is fetched from it")
        self._near = Path(self.root) if self.local else Path(cache or "")

    def path(self, kind: str, name: str) -> str:
        """Address of an artefact for fsspec; for local ones the path of the folder."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of artefact; known: {', '.join(KINDS)}")
        if not _ID.fullmatch(name):
            raise not_found(kind, name)
        place = f"{self.root}/{KINDS[kind]}/{name}"
        return place if self.local else str(self._files.unstrip_protocol(place))

    def local_path(self, kind: str, name: str) -> Path | None:
        """The folder itself, where artefacts are local (whether it exists or not); None where they are remote."""
        return Path(self.path(kind, name)) if self.local else None

    def exists(self, kind: str, name: str) -> bool:
        """The artefact is there, whole."""
        place = self.path(kind, name)
        return bool(self._files.isdir(place) if self.local else self._files.exists(f"{place}/{COMPLETE}"))

    def files(self, kind: str, name: str) -> dict[str, int]:
        """Relative name -> bytes of every file of an artefact but its manifest, sorted; Problem 404 when it is not
        there."""
        place = str(self._files._strip_protocol(self._found(kind, name)))
        details: dict[str, dict[str, Any]] = self._files.find(place, detail=True)
        sizes = {file.removeprefix(place).lstrip("/"): int(info["size"]) for file, info in sorted(details.items())}
        return {file: size for file, size in sizes.items() if file not in (COMPLETE, MANIFEST)}

    def read(self, kind: str, name: str, file: str) -> bytes:
        """The contents of one file of an artefact; Problem 404 when there is no such artefact or file, Damaged when it
        is not what its manifest says (object storage keeps checksums of its own)."""
        self._checked(kind, name, file)
        contents: bytes = self._files.cat_file(f"{self.path(kind, name)}/{file}")
        folder = self.local_path(kind, name)
        if folder is not None and (known := read_manifest(folder)) is not None:
            verify_bytes(folder, file, contents, known)
        return contents

    @contextlib.contextmanager
    def open(self, kind: str, name: str, file: str) -> Iterator[Any]:
        """One file of an artefact as a binary stream, for downloads; Problem 404 as `read`."""
        self._checked(kind, name, file)
        with self._files.open(f"{self.path(kind, name)}/{file}", "rb") as stream:
            yield stream

    def fetch(self, kind: str, name: str) -> Path:
        """A local folder with the artefact's files: the artefact itself, or a copy in the cache. Problem 404 when it is
        not there."""
        place = self._found(kind, name)
        if self.local:
            return Path(place)
        copy = self._near / KINDS[kind] / name
        if not (copy / COMPLETE).is_file():
            with self._temporary(kind, name) as folder:
                self._files.get(f"{place}/", f"{folder}/", recursive=True)
                _replace(folder, copy)
        return copy

    def fetch_model(self, name: str) -> Path:
        """The folder of the pruned model `pruned:<name>`; Problem 404 when it is not there."""
        return self.fetch("model", name)

    @contextlib.contextmanager
    def staging(self, kind: str, name: str) -> Iterator[Path]:
        """An empty local folder to write an artefact into. It becomes the artefact when the block ends, and is removed
        on any exception.

        An artefact that was there before is replaced.
        """
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
    def unfinished(self, kind: str, name: str, worthless: Callable[[BaseException], bool]) -> Iterator[Path]:
        """A local folder for finished parts of an artefact in the making: it holds what a killed or stopped process
        left there, and is removed when the block ends well or with an exception that is `worthless`.

        Where another process has it, which then is about to end, the block gets an empty folder of its own and starts
        from the beginning.
        """
        with contextlib.ExitStack() as stack:
            try:
                place = stack.enter_context(unfinished(self._unfinished(kind, name), worthless))
            except InUse:
                place = stack.enter_context(self._temporary(kind, name))
            yield place

    def remove(self, kind: str, name: str) -> None:
        """Remove an artefact; nothing happens when it is not there."""
        place = self.path(kind, name)
        if self.local:
            folder = Path(place)
            if folder.exists():
                # Renamed first: it is gone at once, even where removing many files takes a while.
                with self._temporary(kind, name) as grave:
                    folder.rename(grave / "removed")
            return
        if self._files.exists(f"{place}/{COMPLETE}"):
            self._files.rm_file(f"{place}/{COMPLETE}")
        if self._files.exists(place):
            self._files.rm(place, recursive=True)
        shutil.rmtree(self._near / KINDS[kind] / name, ignore_errors=True)

    def remove_abandoned(self, older_than_seconds: float = 7 * 24 * 3600) -> int:
        """Remove temporary folders, and finished parts that nobody went on from, that a killed process left; how many.
        Younger ones may belong to a process that still writes, or to a job that waits."""
        removed = 0
        for folder in [*(self._near / _STAGING).glob("*"), *(self._near / _UNFINISHED).glob("*")]:
            try:
                newest = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
            except FileNotFoundError:  # a process that still writes has just renamed or removed something
                continue
            if newest < time.time() - older_than_seconds and remove_unfinished(folder):
                removed += 1
        return removed

    def _found(self, kind: str, name: str) -> str:
        if not self.exists(kind, name):
            raise not_found(kind, name)
        return self.path(kind, name)

    def _checked(self, kind: str, name: str, file: str) -> None:
        if file not in self.files(kind, name):
            raise not_found(f"file of {kind} {name}", file)

    def _unfinished(self, kind: str, name: str) -> Path:
        self.path(kind, name)  # raises for a kind or id that is none
        return self._near / _UNFINISHED / f"{kind}-{name}"

    @contextlib.contextmanager
    def _temporary(self, kind: str, name: str) -> Iterator[Path]:
        folder = self._near / _STAGING / f"{kind}-{name}-{uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _replace(folder: Path, place: Path) -> None:
    """Put a folder where another one may be: a folder cannot be renamed over one with files in it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folder.rename(place)
            return
        except OSError:
            if not place.is_dir():
                raise
        before = folder.with_name(f"{folder.name}-before")
        with contextlib.suppress(FileNotFoundError):  # somebody else moved it away
            place.rename(before)
        shutil.rmtree(before, ignore_errors=True)
