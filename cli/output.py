"""What a command writes is whole or not there: it is made beside its place and renamed last."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from cli.errors import Refusal


@contextlib.contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `output` at the end of the block; after an error nothing of it is left.

    Raises:
        Refusal: `output` is a file or holds something, or it cannot be made.
    """
    output = output.absolute()
    check_free(output)
    around = next(folder for folder in output.parents if folder.exists())
    place = around / f".{output.name}.{uuid.uuid4().hex}.partial"
    try:
        place.mkdir()
    except OSError as error:
        raise Refusal(f"cannot write in {around}: {error.strerror}; choose another --output") from None
    try:
        yield place
        check_free(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        place.rename(output)
    finally:
        shutil.rmtree(place, ignore_errors=True)


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
