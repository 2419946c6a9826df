"""Exceptions of the Python API. The command converts them to exit codes (cli/errors.py).

PrunescopeError          one line that says what went wrong and how to correct it
├── Refusal              an argument, option, path or setting that cannot be used
├── Failure              another known error: a missing library, a result that cannot be stored
├── Unfinished           work that was interrupted and can be resumed
└── client.ServerError   an error of the server: Refused, Unavailable, JobFailed
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prunescope.jobs.failures import problem_of
from prunescope.jobs.paths import BadPath
from prunescope.jobs.problems import Problem


class PrunescopeError(Exception):
    """An error that the user can correct; its text is one line.

    `problem` is the problem document (RFC 9457): `code`, `detail`, and `errors` with each invalid field, the given
    value and what is allowed. It is empty if there is none.
    """

    def __init__(self, message: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = dict(problem or {})


class Failure(PrunescopeError):
    """A known error that the arguments did not cause: exit code 1 of the command."""


class Refusal(PrunescopeError):
    """An argument, option, path or setting that cannot be used: exit code 2 of the command."""


class Unfinished(PrunescopeError):
    """Work was interrupted and can be resumed. `__cause__` is the exception that interrupted it; the text says which
    files are kept and how to resume."""


@contextmanager
def refusing(option: str) -> Iterator[None]:
    """Context manager: convert an OSError about a path, or the exception for an invalid path, to a Refusal that names
    the path's `option`."""
    try:
        yield
    except (BadPath, OSError) as error:
        raise Refusal(f"{option} {reason(error)}") from error


def reason(error: Exception) -> str:
    """The message of an exception; for an OSError the file and the reason, without the error number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    return str(error)


@contextmanager
def prunescope_errors(*correctable: type[Exception]) -> Iterator[None]:
    """Context manager: convert every exception that the user can correct to a PrunescopeError. These are Problem,
    BadPath, the types `correctable`, too little memory, a full disk, and a file that cannot be used. Other exceptions
    pass unchanged. An Unfinished whose cause is KeyboardInterrupt becomes this KeyboardInterrupt."""
    try:
        yield
    except Unfinished as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        cause = error.__cause__
        converted = as_error(cause, correctable) if isinstance(cause, Exception) else None
        if converted is None:
            raise
        raise Unfinished(f"{converted}; {error}", converted.problem) from cause
    except PrunescopeError:
        raise
    except Exception as error:
        converted = as_error(error, correctable)
        if converted is None:
            raise
        raise converted from error


def as_error(error: Exception, correctable: tuple[type[Exception], ...] = ()) -> PrunescopeError | None:
    """The PrunescopeError for an exception; None for an unexpected one, which the caller lets pass. Exceptions of the
    types `correctable` are expected too."""
    if isinstance(error, PrunescopeError):
        return error
    problem = error if isinstance(error, Problem) else problem_of(error)
    if problem is not None:
        return PrunescopeError(" ".join(problem.detail.split()), problem.document())
    if isinstance(error, (BadPath, *correctable)):
        return PrunescopeError(" ".join(str(error).split()))
    return None
