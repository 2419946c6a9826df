"""Translates exceptions of Python, the operating system and libraries into problem documents, for the worker and the
command line.

    out-of-memory   507   MemoryError, PyTorch's allocators of GPUs and of the CPU, ENOMEM
    disk-full       507   ENOSPC, a quota, a limit on file sizes; also recognised by the message of a library
    file-error      500   a file that is missing, exists although it must not, or may not be used by this user
    device-error    500   any other error of the operating system, such as EIO or a read-only file system
    unreachable     503   a network, a database or a queue that does not answer

Memory and disk errors are searched for in the whole chain of causes, because a library may wrap them in an exception of
its own. The others are recognised only if they are the raised exception itself. Any other exception is a defect of the
program.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from prunescope.jobs.problems import Problem

DISK_FULL = "disk-full"
FILE_ERROR = "file-error"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_FILES = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.EINVAL, errno.EBUSY, errno.EXDEV),
}
_MEMORY_TEXT = re.compile(
    r"DefaultCPUAllocator|can't allocate memory|cannot allocate memory|not enough memory|out of memory|bad_?alloc"
    r"|os error 12\b",
    re.IGNORECASE,
)
_FULL_TEXT = re.compile(
    r"no space left on device|disk quota exceeded|file too large|database or disk is full|os error (28|122|27)\b",
    re.IGNORECASE,
)
_REMOTE = ("requests", "urllib3", "httpx", "httpcore", "huggingface_hub", "redis", "kombu", "aiohttp", "botocore")


class NoRoom(Problem):
    """Status 507: the disk has less free space than the result needs. Raised before anything is written."""

    def __init__(self, place: object, needed: int, free: int) -> None:
        detail = (
            f"{needed / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free on the disk at {place}: "
            "make room there, or write to another disk"
        )
        super().__init__(507, DISK_FULL, "The disk has too little room", detail)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Inside the block, replace a recognised exception by its Problem, with the exception as cause. Any other exception
    passes unchanged."""
    try:
        yield
    except Exception as error:
        if (problem := problem_of(error)) is not None:
            raise problem from error
        raise


def problem_of(error: BaseException) -> Problem | None:
    """The Problem that describes an exception; None if the exception is a Problem already, bad input that the numerics
    found, or a defect. A memory or disk error in the chain of causes takes precedence over all of these."""
    if getattr(error, "code", None) in ("out-of-memory", DISK_FULL):
        return None  # the exception is more specific than the Problem that this function would return
    for each in _chain(error):
        if (problem := _exhausted(each)) is not None:
            return problem
    match error:
        case OSError() if error.errno is not None:
            return _of_system(error)
        case _ if type(error).__module__.partition(".")[0] in _REMOTE or _of_database(error):
            return Problem(503, "unreachable", "Something does not answer", _first_line(getattr(error, "orig", error)))
    return None


def disk_full(place: str | None, what: str = "the disk is full") -> Problem:
    """The 507 Problem for a full disk. `place` is the path that could not be written, None if it is not known."""
    where = f" at {place}" if place else ""
    return Problem(507, DISK_FULL, "The disk is full", f"{what}{where}: make room there, then try again")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and all exceptions that caused it, nearest first: group members, `__cause__`, `__context__`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        if each.__cause__ is not None:
            waiting.append(each.__cause__)
        elif each.__context__ is not None and not each.__suppress_context__:
            waiting.append(each.__context__)


def _exhausted(error: BaseException) -> Problem | None:
    """The out-of-memory or disk-full Problem for one exception, recognised by its type, errno or message; None for any
    other exception."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, Problem) or (_code_of(error) is not None and not _of_database(error)):
        return None  # an error of this project: its message quotes user input, which must not be matched
    text = str(error)
    gpu = type(error).__name__ == "OutOfMemoryError" or "CUDA" in text or "HIP" in text
    if number == errno.ENOMEM or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _out_of_memory(gpu=gpu)
    if number in _FULL:
        assert isinstance(error, OSError)
        return disk_full(_place(error), "the disk is full" if number != errno.EFBIG else "a file got too large")
    if number is None and not isinstance(error, KeyError | LookupError | AssertionError):
        if _FULL_TEXT.search(text):
            return disk_full(None)
        if _MEMORY_TEXT.search(text):
            return _out_of_memory(gpu=gpu)
    return None


def _code_of(error: BaseException) -> str | None:
    """The `code` of an error class of the numerics; None for other classes."""
    code = getattr(type(error), "code", None)
    return code if isinstance(code, str) else None


def _out_of_memory(*, gpu: bool) -> Problem:
    device, more = ("the GPU", "") if gpu else ("this machine", ", or a smaller model")
    detail = f"{device} has not enough memory: stop other programs there, or use shorter windows or texts{more}"
    return Problem(507, "out-of-memory", "Out of memory", detail)


def _of_system(error: OSError) -> Problem:
    place = _place(error)
    detail = f"{place}: {error.strerror}" if place else str(error.strerror)
    if error.errno in _OF_FILES:
        return Problem(500, FILE_ERROR, "A file cannot be used", detail)
    return Problem(500, "device-error", "The operating system refused something", detail)


def _place(error: OSError) -> str | None:
    """The path that the error names, the second one if there are two; None without a path."""
    name = error.filename2 if error.filename2 is not None else error.filename
    return None if name is None or isinstance(name, int) else os.fsdecode(name)


def _of_database(error: BaseException) -> bool:
    return type(error).__module__.startswith("sqlalchemy.exc") and type(error).__name__ in (
        *("OperationalError", "InterfaceError", "TimeoutError"),
    )


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
