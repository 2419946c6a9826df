"""Folders of work that is not done yet. They outlive the process that fills them; one process at a time has one."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

LOCK = ".lock"


class InUse(Exception):
    """Another process has the folder."""


@contextlib.contextmanager
def unfinished(place: Path, worthless: Callable[[BaseException], bool]) -> Iterator[Path]:
    """The folder `place`, made if need be, with what an earlier block left in it; for this process alone.

    It is gone when the block ends well. After an exception, or a kill, what is in it stays for the next block; unless
    there is nothing, or `worthless` says of the exception that nobody will go on from there.

    Raises InUse, before the block, when another process has it; OSError when it cannot be made.
    """
    with _locked(place):
        try:
            yield place
        except BaseException as error:
            if worthless(error) or not any(path.is_file() and path != place / LOCK for path in place.rglob("*")):
                _remove(place)
            raise
        _remove(place)


def remove_unfinished(place: Path) -> bool:
    """Remove the folder unless a process has it; whether it is gone."""
    if place.is_dir():
        with contextlib.suppress(InUse), _locked(place):
            _remove(place)
    return not place.is_dir()


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    handle = _lock(place)
    try:
        yield
    finally:
        os.close(handle)  # which lets go of the lock; so does the end of the process, however it ends


def _lock(place: Path) -> int:
    while True:
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the process that had it has just removed it
            handle = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), (place / LOCK).stat()):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise InUse(f"{place} is another process's") from None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _remove(place: Path) -> None:
    # Renamed first: nobody may find a half of it.
    grave = place.with_name(f"{place.name}.{uuid4().hex}.removed")
    with contextlib.suppress(FileNotFoundError):
        place.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)
