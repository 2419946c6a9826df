"""Writes the outputs of the command and of the API atomically: under a temporary name, which is renamed at the end.

Targets are checked before the work begins. `resumed_folder` also keeps finished parts of the work, so that an
interrupted run can be resumed. If a target cannot be created any more at the end, the finished result is kept under its
temporary name.
"""

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from prunescope.errors import Failure, Refusal, reason, refusing
from prunescope.store.artefacts.unfinished import InUse, unfinished
from prunescope.worker.failures import needs_new_request

OUTPUT, JSON = "--output", "--json"
"""The default names of an output in errors."""

STREAMS = ("/dev/std", "/dev/fd/", "/proc/")
"""Prefixes of paths that name open files, which must not be replaced."""

MAX_NAME_BYTES = 255
"""Maximum length of a name in a path, if the file system does not report its own limit."""

SHOWN_NAME_BYTES = 100
"""Number of bytes of a target's name that its temporary name contains."""


@contextlib.contextmanager
def new_folder(output: Path, option: str = OUTPUT) -> Iterator[Path]:
    """Context manager: yield an empty temporary folder, which is renamed to `output` at the end of the block. After an
    exception it is deleted. Errors call the output by `option`.

    Raises:
        Refusal: `output` is a file or a folder that is not empty, or it cannot be created.
        Failure: at the end of the block, `output` cannot be created any more; the message names the folder with the
            result.
    """
    output = checked_folder(output, option)
    place = _beside(output, f"{uuid.uuid4().hex}.partial", option)
    with _refusing_writes(place, option):
        place.mkdir()
    with _renamed_to(output, place, option):
        yield place


def unfinished_place(output: Path, key: str, option: str = OUTPUT) -> Path:
    """The hidden folder in which `resumed_folder` keeps the finished parts of the run `key`."""
    return _beside(_resolved(output), f"{key}.unfinished", option)


def not_resumable(error: BaseException) -> bool:
    """Whether finished parts of the work are of no use after this exception, because the user has to change the
    arguments."""
    return isinstance(error, Refusal) or needs_new_request(error)


@contextlib.contextmanager
def resumed_folder(output: Path, key: str, option: str = OUTPUT) -> Iterator[tuple[Path, Path]]:
    """Context manager: yield (an empty folder as `new_folder` does, a hidden folder for finished parts of the work).

    The hidden folder lies beside `output`. Its files are kept after an interruption, a kill, a full disk or an
    unexpected error, and a later block with the same `key` finds them. They are deleted at the end of the block, and
    after errors that the user corrects by other arguments (`not_resumable`).

    Raises:
        Refusal: as `new_folder`, or another process uses the hidden folder.
        Failure: as `new_folder`.
    """
    output = checked_folder(output, option)
    hidden = unfinished_place(output, key, option)
    with contextlib.ExitStack() as stack:
        try:
            with _refusing_writes(hidden, option):
                stack.enter_context(unfinished(hidden, not_resumable))
        except InUse:
            raise Refusal(f"another process is writing {output}: wait for it, or choose another {option}") from None
        place, finished = hidden / "output", hidden / "finished"
        shutil.rmtree(place, ignore_errors=True)  # left by a process that was killed
        place.mkdir()
        with _renamed_to(output, place, option):
            yield place, finished


@contextlib.contextmanager
def _renamed_to(output: Path, place: Path, option: str) -> Iterator[None]:
    """Context manager: rename the folder `place` to `output` at the end of the block; delete `place` after an
    exception."""
    kept = False
    try:
        yield
        try:
            checked_folder(output, option)
            output.parent.mkdir(parents=True, exist_ok=True)
            place.rename(output)
        except (OSError, Refusal) as error:
            kept = True
            raise Failure(
                f"{output} cannot be created any more ({reason(error)}); the result is kept in {place}: move it "
                "to where you want it"
            ) from error
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def checked_folder(output: Path, option: str = OUTPUT) -> Path:
    """The absolute path of an output folder, with a symlink at its end resolved. Raises Refusal unless nothing exists
    there, or an empty folder, and the user may create it."""
    other = f"choose another {option}"
    with refusing(option):
        output = _resolved(output)
        _check_names(output, option)
        if not (output.is_dir() and not any(output.iterdir())):
            if os.path.lexists(output):
                raise Refusal(f"{output} exists and is not an empty folder: remove it, or {other}")
        elif os.path.ismount(output):
            raise Refusal(f"{option} {output} is a mount point, which cannot be replaced: name a folder in it")
        parent = _nearest_existing(output)
        if not parent.is_dir():
            raise Refusal(f"{option} {output}: {parent} is not a folder; {other}")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise Refusal(f"cannot write in {parent}: it is read-only for this user; {other}")
    return output


def check_outside(target: Path, folders: Iterable[Path | None], option: str) -> None:
    """Raise Refusal if `target` is one of `folders` (folders of models that are read; None is ignored), or lies in
    one."""
    actual = Path(os.path.realpath(target))
    for folder in folders:
        if folder is not None and actual.is_relative_to(os.path.realpath(folder)):
            what = "is the model's own folder" if actual == Path(os.path.realpath(folder)) else "lies in the model's"
            raise Refusal(f"{option} {target} {what} ({folder}), which must not be changed: choose another {option}")


@contextlib.contextmanager
def new_file(path: Path, option: str = JSON) -> Iterator[Path]:
    """Context manager: yield the path of a temporary file beside `path`, which replaces `path` (the target of a
    symlink) at the end of the block. After an exception it is deleted.

    Raises:
        Refusal: the folder does not exist or cannot be written to, or `path` is not a regular file.
        Failure: at the end of the block, the file cannot be renamed to `path`.
    """
    with refusing(option):
        target = _checked_file(path, option)
        place = _hidden(target, f"{uuid.uuid4().hex}.partial", option)
    try:
        place.touch()
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}; choose another {option}") from error
    try:
        yield place
        try:
            place.replace(target)
        except OSError as error:
            raise Failure(f"the result could not be written to {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # if the disk is gone, so is the file
            place.unlink(missing_ok=True)


def _checked_file(path: Path, option: str) -> Path:
    target = _resolved(path)
    _check_names(target, option)
    if target.is_dir():
        raise Refusal(f"{option} {path} is a folder: name a file in it")
    stream = str(path.absolute()).startswith(STREAMS)  # may be a file (even a deleted one) that stdout is redirected to
    if stream or os.path.lexists(target):
        if stream or not stat.S_ISREG(target.stat().st_mode):
            raise Refusal(
                f"{option} {path} is not a regular file, and would be replaced by one: choose another {option}"
            )
        if not os.access(target, os.W_OK):
            raise Refusal(f"{option} {path} is read-only for this user: choose another {option}")
    return target


def _resolved(target: Path) -> Path:
    """The absolute path of `target`, or the target of a symlink, so that the symlink itself is kept. Raises Refusal for
    a dangling symlink."""
    target = target.absolute()
    if not target.is_symlink():
        return target
    if not target.exists():
        raise Refusal(f"{target} is a dangling symlink (to {target.readlink()}): remove it, or choose another name")
    return Path(os.path.realpath(target))


def _check_names(target: Path, option: str) -> None:
    """Raise Refusal for a target that could not be created at the end: a name in its path is too long, or a parent
    folder is a dangling symlink."""
    for folder in target.parents:
        if folder.is_symlink() and not folder.exists():
            raise Refusal(f"{option} {target}: {folder} is a dangling symlink")
    try:
        longest = os.pathconf(_nearest_existing(target), "PC_NAME_MAX")
    except (OSError, ValueError):
        longest = MAX_NAME_BYTES
    for name in target.parts:
        if len(os.fsencode(name)) > longest > 0:
            raise Refusal(f"{option}: the name {name[:20]}... has {len(os.fsencode(name))} bytes; at most {longest}")


def _nearest_existing(target: Path) -> Path:
    """The nearest parent of the target that exists."""
    return next((folder for folder in target.parents if folder.exists()), target.parent)


def _beside(output: Path, ending: str, option: str) -> Path:
    """A hidden path in the nearest existing parent of `output`, so that it is on the same disk."""
    return _hidden(_nearest_existing(output) / output.name, ending, option)


def _hidden(target: Path, ending: str, option: str) -> Path:
    if not target.name:
        raise Refusal(f"{option} {target} is the root folder: name a folder in it")
    short = os.fsencode(target.name)[:SHOWN_NAME_BYTES].decode("utf-8", "ignore")
    return target.with_name(f".{short}.{ending}")


@contextlib.contextmanager
def _refusing_writes(place: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(f"cannot write in {place.parent}: {error.strerror}; choose another {option}") from error
