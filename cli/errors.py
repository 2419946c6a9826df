"""Exit codes and error lines of the command.

Exit code 0: done. 2: an error that the user can correct; the line says how. 1: any other error. A traceback is printed
only with PRUNESCOPE_DEBUG=1; otherwise the traceback of an unexpected error is written to a file.
"""

import contextlib
import os
import platform
import sys
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version

from prunescope.errors import Failure, Refusal, Unfinished
from prunescope.jobs.failures import FILE_ERROR, NoRoom, problem_of
from prunescope.jobs.paths import BadPath
from prunescope.jobs.problems import Problem
from prunescope.lm.errors import BadInput

DONE, FAILED, BAD_INPUT = 0, 1, 2

DEBUG = "PRUNESCOPE_DEBUG"
"""An environment variable that is not part of the settings, because it must also work when these are invalid."""

MAX_LINE = 2000
"""Maximum length of the error line in characters; a library's message may quote a whole file."""


def one_line(text: str) -> str:
    """`text` on one line of at most MAX_LINE characters, with unprintable characters escaped."""
    line = " ".join(text.split())
    line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 4]} ..."


def ending(error: BaseException) -> tuple[int, str]:
    """(exit code, error line) for an exception. For an unexpected error, its traceback is written to a file."""
    problem = error if isinstance(error, Problem) else problem_of(error)
    match error:
        case Unfinished():
            code, text = ending(error.__cause__ or error)
            return code, f"{text}; {error}"
        case Problem():
            return _code(error), one_line(str(error))
        case KeyboardInterrupt():
            return FAILED, "stopped"
        case Failure():
            return FAILED, str(error)
        case _ if problem is not None:
            return _code(problem), one_line(problem.detail)
        case Refusal() | BadInput() | BadPath():
            return BAD_INPUT, one_line(str(error))
        case _:
            return FAILED, _defect(error)


def debugging() -> bool:
    """Whether tracebacks are printed: PRUNESCOPE_DEBUG is set, and not to 0."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _code(problem: Problem) -> int:
    correctable = problem.status < 500 or isinstance(problem, NoRoom) or problem.code == FILE_ERROR
    return BAD_INPUT if correctable else FAILED


def _defect(error: BaseException) -> str:
    """The error line for an unexpected error. Unless tracebacks are printed, the traceback is written to a temporary
    file, which the line names."""
    text = one_line(f"stopped by an unexpected {type(error).__name__} ({str(error)[:300] or 'without a message'})")
    if debugging():
        return text
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="prunescope-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            log.write(f"{' '.join(sys.argv)}\n{_versions()}\n\n")
            log.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"{text}; {DEBUG}=1 shows where"
    return f"{text}; its traceback is in {log.name}: please report it"


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in ("prunescope", "torch", "transformers"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)
