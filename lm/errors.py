"""What the numerics raise when a user can mend it, and the one exception that is no error.

ValueError
└── BadInput                 one line: the value, what is allowed, the way out
    ├── ModelNotFound        no such folder or hub id, or the hub cannot be reached
    ├── NoSafetensors        a checkpoint without safetensors
    ├── UnsupportedModel     an architecture or weight that cannot be handled
    ├── BadPattern           a sparsity pattern that is none, or that does not fit a matrix
    ├── BadText              a text or word that cannot be used
    ├── BadData              a data file that is missing or malformed
    ├── NotFinite            a number that a model gives is NaN or infinite
    ├── DeviceUnavailable    a device or number type that this machine does not have
    └── OutOfMemory          the least that can be computed at once does not fit the device's memory
Exception
└── Cancelled                raised by a progress callback to stop at the next layer or batch
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class BadInput(ValueError):
    """Something a user can mend; its text is one line, and `code` names the kind of problem."""

    code: ClassVar[str] = "bad-input"


class ModelNotFound(BadInput):
    """No model stands under this reference, or the hub cannot be reached."""

    code: ClassVar[str] = "model-not-found"


class NoSafetensors(BadInput):
    """The checkpoint has no safetensors; nothing else is read."""

    code: ClassVar[str] = "no-safetensors"


class UnsupportedModel(BadInput):
    """The model has a shape that is not understood; the text names the module."""

    code: ClassVar[str] = "unsupported-model"


class BadPattern(BadInput):
    """A sparsity pattern that is none, or that does not fit a matrix."""

    code: ClassVar[str] = "bad-pattern"


class BadText(BadInput):
    """A text or a word that cannot be used."""

    code: ClassVar[str] = "bad-text"


class BadData(BadInput):
    """A data file that is missing or malformed; the text names file, line and field."""

    code: ClassVar[str] = "bad-data"


class NotFinite(BadInput):
    """A number that a model gives is NaN, infinite, or too large for what is kept; the text names the place."""

    code: ClassVar[str] = "not-finite"


class DeviceUnavailable(BadInput):
    """A device or number type that is unknown or that this machine does not have."""

    code: ClassVar[str] = "device-unavailable"


class OutOfMemory(BadInput):
    """The least that can be computed at once does not fit the device's memory."""

    code: ClassVar[str] = "out-of-memory"


class Cancelled(Exception):
    """Raised by a progress callback to stop the work at the next layer or batch; the numerics let it pass."""


@contextmanager
def foreign_errors(what: str, kind: type[BadInput] = UnsupportedModel) -> Iterator[None]:
    """Raise `kind`, whose text begins with `what`, for whatever a library raises over files that are not as it expects:
    KeyError, TypeError, RecursionError. Bad input, memory and what the operating system says pass as they are."""
    try:
        yield
    except (BadInput, Cancelled, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = (str(error).strip() or "without a message").splitlines()[0]
        raise kind(f"{what} ({type(error).__name__}: {said[:300]})") from error
