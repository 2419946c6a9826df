"""Folders for the finished parts of unfinished work. They remain when the process that writes them is killed. A file
lock allows one process at a time."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

LOCK = ".lock"


class InUse(Exception):
    """Raised if another process has locked the folder."""


@contextlib.contextmanager
def unfinished(place: Path, not_resumable: Callable[[BaseException], bool]) -> Iterator[Path]:
    """Inside the block, lock the folder `place` for this process. It is created if it does not exist, and contains what
    an earlier block left in it.

    The folder is removed when the block ends without an exception. After an exception or a kill its contents remain for
    the next block, unless there are none or `not_resumable` returns True for the exception.

    Raises InUse, before the block, if another process has locked the folder; OSError if it cannot be created.
    """
    with _locked(place):
        try:
            yield place
        except BaseException as error:
            if not_resumable(error) or not any(path.is_file() and path != place / LOCK for path in place.rglob("*")):
                _remove(place)
            raise
        _remove(place)


def remove_unfinished(place: Path) -> bool:
    """Remove the folder unless a process has locked it. Returns whether the folder no longer exists."""
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
        os.close(handle)  # releases the lock; so does any end of the process


def _lock(place: Path) -> int:
    """Create the folder if need be and lock it. Returns the file descriptor that holds the lock."""
    while True:
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the process that had locked the folder has just removed it
            handle = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), (place / LOCK).stat()):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise InUse(f"another process has locked {place}") from None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _remove(place: Path) -> None:
    # Renamed first, so that no other process finds a part of the contents.
    trash = place.with_name(f"{place.name}.{uuid4().hex}.removed")
    with contextlib.suppress(FileNotFoundError):
        place.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
