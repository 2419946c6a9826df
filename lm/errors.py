"""Errors of the numerics that a user can correct, and `Cancelled`, which is not an error.

ValueError
└── BadInput                 one line: the value, what is allowed, how to correct it
    ├── ModelNotFound        no such folder or hub id, or the hub cannot be reached
    ├── NoSafetensors        a checkpoint without safetensors
    ├── UnsupportedModel     an architecture or weight that cannot be handled
    ├── BadPattern           an invalid sparsity pattern, or one that does not fit a matrix
    ├── BadText              a text or word that cannot be used
    ├── BadData              a data file that is missing or malformed
    ├── NotFinite            a model computes NaN or infinity
    ├── DeviceUnavailable    a device or number type that this machine does not have
    └── OutOfMemory          even the smallest batch does not fit the device's memory
Exception
└── Cancelled                raised by a progress callback to stop at the next layer or batch
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class BadInput(ValueError):
    """An error that a user can correct. Its message is one line; `code` identifies the kind of problem in the API."""

    code: ClassVar[str] = "bad-input"


class ModelNotFound(BadInput):
    """There is no model with this reference, or the hub cannot be reached."""

    code: ClassVar[str] = "model-not-found"


class NoSafetensors(BadInput):
    """The checkpoint has no readable safetensors, the only format that is supported."""

    code: ClassVar[str] = "no-safetensors"


class UnsupportedModel(BadInput):
    """The model's architecture or files are not supported; the message names the submodule or file."""

    code: ClassVar[str] = "unsupported-model"


class BadPattern(BadInput):
    """An invalid sparsity pattern, or one that does not fit a matrix."""

    code: ClassVar[str] = "bad-pattern"


class BadText(BadInput):
    """A text or a word that cannot be used."""

    code: ClassVar[str] = "bad-text"


class BadData(BadInput):
    """A data file that is missing or malformed; the message names file, line and field."""

    code: ClassVar[str] = "bad-data"


class NotFinite(BadInput):
    """A model computes NaN, infinity, or a number too large for the stored dtype; the message names the place."""

    code: ClassVar[str] = "not-finite"


class DeviceUnavailable(BadInput):
    """A device or number type that is unknown or that this machine does not have."""

    code: ClassVar[str] = "device-unavailable"


class OutOfMemory(BadInput):
    """Even the smallest batch does not fit the device's memory."""

    code: ClassVar[str] = "out-of-memory"


class Cancelled(Exception):
    """Raised by a progress callback to stop the work at the next layer or batch; the numerics do not catch it."""


@contextmanager
def foreign_errors(what: str, kind: type[BadInput] = UnsupportedModel) -> Iterator[None]:
    """Convert a library's exceptions about malformed files (KeyError, TypeError, RecursionError, ...) to `kind`, with a
    message that begins with `what`. BadInput, Cancelled, memory errors and errors of the operating system propagate
    unchanged."""
    try:
        yield
    except (BadInput, Cancelled, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = (str(error).strip() or "without a message").splitlines()[0]
        raise kind(f"{what} ({type(error).__name__}: {said[:300]})") from error
