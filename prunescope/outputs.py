"""What a command or a call of the API writes is whole or not there: it is made beside its place and renamed last.

Targets are checked before work begins. Of long work, parts that are done can outlive a command that was stopped
(`resumed_folder`), and what is finished is never thrown away because its place was taken meanwhile.
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
from prunescope.worker.failures import mendable

OUTPUT, JSON = "--output", "--json"

STREAMS = ("/dev/std", "/dev/fd/", "/proc/")
"""Names of what is open already."""

MAX_NAME_BYTES = 255
"""Of one name in a path, where the file system does not tell its own limit."""

SHOWN_NAME_BYTES = 100
"""Of a target's name in the hidden one beside it, which has an ending too."""


@contextlib.contextmanager
def new_folder(output: Path, option: str = OUTPUT) -> Iterator[Path]:
    """An empty folder to fill, which becomes `output` at the end of the block; after an error nothing of it is left.
    Errors call the output by `option`.

    Raises:
        Refusal: `output` is a file or holds something, or it cannot be made.
        Failure: at the end of the block `output` cannot be made any more; the text says where the result is.
    """
    output = checked_folder(output, option)
    place = _beside(output, f"{uuid.uuid4().hex}.partial", option)
    with _refused_at(place, option):
        place.mkdir()
    with _becoming(output, place, option):
        yield place


def unfinished_place(output: Path, key: str, option: str = OUTPUT) -> Path:
    """Where `resumed_folder` keeps what is done."""
    return _beside(_actual(output), f"{key}.unfinished", option)


def worthless(error: BaseException) -> bool:
    """Whether nobody will go on from what was finished before this error."""
    return isinstance(error, Refusal) or mendable(error)


@contextlib.contextmanager
def resumed_folder(output: Path, key: str, option: str = OUTPUT) -> Iterator[tuple[Path, Path]]:
    """An empty folder as `new_folder` gives, and a hidden one beside `output` for parts of the work that are done.

    What is in the latter outlives an interrupt, a kill, a full disk or a defect: a later block with the same `key`
    finds it there. After bad input, and after a block that ended well, nothing is left.

    Raises:
        Refusal, Failure: as `new_folder`, or another process has the hidden folder.
    """
    output = checked_folder(output, option)
    hidden = unfinished_place(output, key, option)
    with contextlib.ExitStack() as stack:
        try:
            with _refused_at(hidden, option):
                stack.enter_context(unfinished(hidden, worthless))
        except InUse:
            raise Refusal(f"another process is making {output}: wait for it, or choose another {option}") from None
        place, finished = hidden / "output", hidden / "finished"
        shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
        place.mkdir()
        with _becoming(output, place, option):
            yield place, finished


@contextlib.contextmanager
def _becoming(output: Path, place: Path, option: str) -> Iterator[None]:
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
                f"{output} cannot take its place any more ({reason(error)}); the result is kept in {place}: move it "
                "to where you want it"
            ) from error
    finally:
        if not kept:
            shutil.rmtree(place, ignore_errors=True)


def checked_folder(output: Path, option: str = OUTPUT) -> Path:
    """The place of a folder that may be made there: nothing is there, or an empty folder (perhaps behind a link).

    Raises Refusal otherwise.
    """
    other = f"choose another {option}"
    with refusing(option):
        output = _actual(output)
        _check_names(output, option)
        if not (output.is_dir() and not any(output.iterdir())):
            if os.path.lexists(output):
                raise Refusal(f"{output} exists and is not an empty folder: remove it, or {other}")
        elif os.path.ismount(output):
            raise Refusal(f"{option} {output} is where a disk is mounted, and cannot be replaced: name a folder in it")
        around = _around(output)
        if not around.is_dir():
            raise Refusal(f"{option} {output}: {around} is not a folder; {other}")
        if not os.access(around, os.W_OK | os.X_OK):
            raise Refusal(f"cannot write in {around}: it is read-only for this user; {other}")
    return output


def check_outside(target: Path, folders: Iterable[Path | None], option: str) -> None:
    """Raise a Refusal for a target in one of the models' folders: what is there belongs to the model."""
    actual = Path(os.path.realpath(target))
    for folder in folders:
        if folder is not None and actual.is_relative_to(os.path.realpath(folder)):
            what = "is the model's own folder" if actual == Path(os.path.realpath(folder)) else "lies in the model's"
            raise Refusal(f"{option} {target} {what} ({folder}), which is only read: choose another {option}")


@contextlib.contextmanager
def new_file(path: Path, option: str = JSON) -> Iterator[Path]:
    """A file to write beside `path` (or what this links to), whose place it takes at the end of the block.

    Raises:
        Refusal: there is no such folder, it cannot be written in, or `path` is no file.
        Failure: at the end of the block the file cannot take its place.
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
        with contextlib.suppress(OSError):  # the disk is gone, and with it the file
            place.unlink(missing_ok=True)


def _checked_file(path: Path, option: str) -> Path:
    target = _actual(path)
    _check_names(target, option)
    if target.is_dir():
        raise Refusal(f"{option} {path} is a folder: name a file in it")
    stream = str(path.absolute()).startswith(STREAMS)  # which may be a file, or one deleted, that holds what is printed
    if stream or os.path.lexists(target):
        if stream or not stat.S_ISREG(target.stat().st_mode):
            raise Refusal(f"{option} {path} is no regular file, and would be replaced by one: choose another {option}")
        if not os.access(target, os.W_OK):
            raise Refusal(f"{option} {path} is read-only for this user: choose another {option}")
    return target


def _actual(target: Path) -> Path:
    """The absolute path; of a link what it leads to, so that the link stays one. A dangling link is refused."""
    target = target.absolute()
    if not target.is_symlink():
        return target
    if not target.exists():
        raise Refusal(f"{target} is a link that leads nowhere ({target.readlink()}): remove it, or choose another name")
    return Path(os.path.realpath(target))


def _check_names(target: Path, option: str) -> None:
    """Refuse what could not be made at the end: names that are too long, and links to nothing on the way."""
    for folder in target.parents:
        if folder.is_symlink() and not folder.exists():
            raise Refusal(f"{option} {target}: {folder} is a link that leads nowhere")
    try:
        longest = os.pathconf(_around(target), "PC_NAME_MAX")
    except (OSError, ValueError):
        longest = MAX_NAME_BYTES
    for name in target.parts:
        if len(os.fsencode(name)) > longest > 0:
            raise Refusal(f"{option}: the name {name[:20]}... has {len(os.fsencode(name))} bytes; at most {longest}")


def _around(target: Path) -> Path:
    """The nearest thing that exists above the target."""
    return next((folder for folder in target.parents if folder.exists()), target.parent)


def _beside(output: Path, ending: str, option: str) -> Path:
    """A hidden name in the nearest folder that exists, on the same disk as `output` will be."""
    return _hidden(_around(output) / output.name, ending, option)


def _hidden(target: Path, ending: str, option: str) -> Path:
    if not target.name:
        raise Refusal(f"{option} {target} is the folder above everything: name one in it")
    short = os.fsencode(target.name)[:SHOWN_NAME_BYTES].decode("utf-8", "ignore")
    return target.with_name(f".{short}.{ending}")


@contextlib.contextmanager
def _refused_at(place: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(f"cannot write in {place.parent}: {error.strerror}; choose another {option}") from error
