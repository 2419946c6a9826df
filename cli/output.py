"""What a command writes is whole or not there: it is made beside its place and renamed last.

Of long work, parts that are done can outlive a command that was stopped (`resumed_folder`).
"""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from cli.errors import Refusal
from jobs.problems import Problem
from lm.errors import BadInput
from store.unfinished import InUse, unfinished


@contextlib.contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `output` at the end of the block; after an error nothing of it is left.

    Raises:
        Refusal: `output` is a file or holds something, or it cannot be made.
    """
    output = output.absolute()
    check_free(output)
    place = _beside(output, f"{uuid.uuid4().hex}.partial")
    try:
        place.mkdir()
    except OSError as error:
        raise _cannot_write(place, error) from None
    with _becoming(output, place):
        yield place


def unfinished_place(output: Path, key: str) -> Path:
    """Where `resumed_folder` keeps what is done."""
    return _beside(output.absolute(), f"{key}.unfinished")


@contextlib.contextmanager
def resumed_folder(output: Path, key: str) -> Iterator[tuple[Path, Path]]:
    """An empty folder as `new_folder` gives, and a hidden one beside `output` for parts of the work that are done.

    What is in the latter outlives an interrupt, a kill or a defect: a later block with the same `key` finds it there.
    After bad input, and after a block that ended well, nothing is left.

    Raises:
        Refusal: as `new_folder`, or another process has the hidden folder.
    """
    output = output.absolute()
    check_free(output)
    hidden = unfinished_place(output, key)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(unfinished(hidden, lambda error: isinstance(error, Refusal | BadInput | Problem)))
        except InUse:
            raise Refusal(f"another process is making {output}: wait for it, or choose another --output") from None
        except OSError as error:
            raise _cannot_write(hidden, error) from None
        place, finished = hidden / "output", hidden / "finished"
        shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
        place.mkdir()
        with _becoming(output, place):
            yield place, finished


@contextlib.contextmanager
def _becoming(output: Path, place: Path) -> Iterator[None]:
    try:
        yield
        check_free(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        place.rename(output)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _beside(output: Path, ending: str) -> Path:
    """A hidden name in the nearest folder that exists, on the same disk as `output` will be."""
    around = next(folder for folder in output.parents if folder.exists())
    return around / f".{output.name}.{ending}"


def _cannot_write(place: Path, error: OSError) -> Refusal:
    return Refusal(f"cannot write in {place.parent}: {error.strerror}; choose another --output")


def check_free(output: Path) -> None:
    """Raise a Refusal unless a folder may be put at `output`: nothing there, or an empty folder."""
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() or output.is_symlink():
        raise Refusal(f"{output} exists and is not an empty folder: remove it, or choose another --output")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, whose place it takes at the end of the block.

    Raises:
        Refusal: there is no such folder, or it cannot be written in.
    """
    place = path.absolute().with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        place.touch()
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}") from None
    try:
        yield place
        place.replace(path.absolute())
    finally:
        place.unlink(missing_ok=True)
