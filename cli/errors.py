"""Exit codes and error lines of the command: 0 done, 2 bad input (one line that says how to correct it), 1 anything
else.

Tracebacks are printed only with PRUNESCOPE_DEBUG=1; the traceback of an unexpected error is written to a file.
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
"""An environment variable outside the settings, because it must also work when these cannot be read."""

MAX_LINE = 2000
"""Maximum length of the error line; a library's message may quote a whole file."""


def one_line(text: str) -> str:
    """`text` without line breaks, and with unprintable characters escaped."""
    line = " ".join(text.split())
    line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 4]} ..."


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code and the error line for an exception."""
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
    """Whether the user wants to see tracebacks."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _code(problem: Problem) -> int:
    mendable = problem.status < 500 or isinstance(problem, NoRoom) or problem.code == FILE_ERROR
    return BAD_INPUT if mendable else FAILED


def _defect(error: BaseException) -> str:
    """The error line for an unexpected error, which names the file with its traceback."""
    text = one_line(f"an unexpected {type(error).__name__} ended it ({str(error)[:300] or 'without a message'})")
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
