"""Errors of the Python API, which the command turns into its exit codes.

PrunescopeError          one line that says what went wrong and how to mend it
├── Refusal              an argument, option, path or setting that cannot be used
├── Failure              something else that is known to go wrong: a result that cannot take its place
├── Unfinished           work that was stopped, and can be continued
└── client.ServerError   the server's answer is no result: Refused, Unavailable, JobFailed
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prunescope.jobs.failures import problem_of
from prunescope.jobs.paths import BadPath
from prunescope.jobs.problems import Problem


class PrunescopeError(Exception):
    """Something that a user can mend; its text is one line.

    `problem` is the problem document (RFC 9457: `code`, `detail`, and `errors` with each wrong field, what was given
    and what is allowed), empty where there is none.
    """

    def __init__(self, message: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = dict(problem or {})


class Failure(PrunescopeError):
    """Something that went wrong and is no fault of what was asked for: exit code 1 of the command."""


class Refusal(PrunescopeError):
    """An argument, option, path or setting that cannot be used: exit code 2 of the command."""


class Unfinished(PrunescopeError):
    """Work that ended early, for the reason that is its cause; the text says what is kept and how to go on."""


@contextmanager
def refusing(option: str) -> Iterator[None]:
    """Context manager: an OSError about a path, or an invalid path, becomes a Refusal that names the path's
    option."""
    try:
        yield
    except (BadPath, OSError) as error:
        raise Refusal(f"{option} {reason(error)}") from error


def reason(error: Exception) -> str:
    """What an error says, without numbers and types."""
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    return str(error)


@contextmanager
def one_kind(*mendable: type[Exception]) -> Iterator[None]:
    """Raise every error that a user can mend as a PrunescopeError: problems, errors of the kinds `mendable`, too little
    memory, a full disk, a file that cannot be used. A defect passes as it is, and so does KeyboardInterrupt."""
    try:
        yield
    except Unfinished as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        cause = error.__cause__
        told = as_error(cause, mendable) if isinstance(cause, Exception) else None
        if told is None:
            raise
        raise Unfinished(f"{told}; {error}", told.problem) from cause
    except PrunescopeError:
        raise
    except Exception as error:
        told = as_error(error, mendable)
        if told is None:
            raise
        raise told from error


def as_error(error: Exception, mendable: tuple[type[Exception], ...] = ()) -> PrunescopeError | None:
    """The error of the API for another one; None for a defect."""
    if isinstance(error, PrunescopeError):
        return error
    problem = error if isinstance(error, Problem) else problem_of(error)
    if problem is not None:
        return PrunescopeError(" ".join(problem.detail.split()), problem.document())
    if isinstance(error, (BadPath, *mendable)):
        return PrunescopeError(" ".join(str(error).split()))
    return None
