"""Classification of errors of Python, the operating system and libraries."""

import errno

import pytest
import torch
from redis.exceptions import ConnectionError as RedisIsAway
from safetensors import SafetensorError
from sqlalchemy.exc import OperationalError

from prunescope.jobs.failures import NoRoom, problem_of, translated
from prunescope.jobs.problems import Problem, bad_field
from prunescope.lm.errors import BadData, BadInput, OutOfMemory, UnsupportedModel, foreign_errors
from prunescope.worker.failures import needs_new_request

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."

EXHAUSTED: list[tuple[Exception, str]] = [
    (MemoryError(), "out-of-memory"),
    (RuntimeError(ALLOCATOR), "out-of-memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."), "out-of-memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out-of-memory"),
    (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "disk-full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full"),
    (OSError(errno.EFBIG, "File too large"), "disk-full"),
    (SafetensorError("I/O error: No space left on device (os error 28)"), "disk-full"),
    (OperationalError("insert", {}, Exception("database or disk is full")), "disk-full"),
]


def raised(error: Exception, how: str) -> Exception:
    """The error as a library or our own code hands it on."""
    try:
        try:
            raise error
        except Exception as inner:
            match how:
                case "cause":
                    raise RuntimeError("could not save") from inner
                case "context":
                    raise RuntimeError("could not clean up")  # noqa: B904 - the context is what is tested
                case "bad input":
                    raise UnsupportedModel("cannot be loaded") from inner
                case "group":
                    raise ExceptionGroup("several", [ValueError(), inner]) from None
            raise
    except Exception as outer:
        return outer


@pytest.mark.parametrize("how", ["itself", "cause", "context", "bad input", "group"])
@pytest.mark.parametrize(("error", "code"), EXHAUSTED)
def test_memory_and_disk_anywhere_in_the_chain(error: Exception, code: str, how: str) -> None:
    outer = raised(error, how)
    problem = problem_of(outer)
    assert problem is not None and (problem.code, problem.status) == (code, 507)
    assert "\n" not in problem.detail
    assert not needs_new_request(outer)
    with pytest.raises(Problem) as told, translated():
        raise outer
    assert told.value.code == code and told.value.__cause__ is outer


def test_the_place_of_a_full_disk_is_told() -> None:
    problem = problem_of(OSError(errno.ENOSPC, "No space left on device", "/x/y"))
    assert problem is not None and "/x/y" in problem.detail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "file-error"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "file-error"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x"), "file-error"),
        (OSError(errno.EIO, "Input/output error", "/x"), "device-error"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "device-error"),
        (RedisIsAway("Error 111 connecting"), "unreachable"),
        (OperationalError("select", {}, Exception("server closed the connection")), "unreachable"),
    ],
)
def test_the_system_and_the_network(error: Exception, code: str) -> None:
    problem = problem_of(error)
    assert problem is not None and problem.code == code and problem.status >= 500
    assert not needs_new_request(error)
    assert problem_of(raised(error, "cause")) is None, "further down it may be anything"


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemory("layer 3 does not fit the GPU's memory"),
        BadData("rows.jsonl, line 3: no space left on device"),
        bad_field("model", "out of memory", None, "out of memory is no model"),
    ],
)
def test_what_a_user_can_mend_keeps_its_own_words(error: Exception) -> None:
    assert problem_of(error) is None and needs_new_request(error)


@pytest.mark.parametrize("error", [KeyError("No space left on device"), TypeError("x"), AssertionError(), OSError("x")])
def test_a_defect_is_none_of_them(error: Exception) -> None:
    assert problem_of(error) is None and not needs_new_request(error)
    with pytest.raises(type(error)), translated():
        raise error


def test_a_disk_that_was_too_small_is_nothing_to_start_over_for() -> None:
    assert not needs_new_request(NoRoom("/x", 2, 1)) and problem_of(NoRoom("/x", 2, 1)) is None


def test_what_a_library_raises_over_a_model_is_bad_input() -> None:
    for error in (KeyError("a"), RecursionError("deep"), TypeError("b"), OSError("no number")):
        said = r"model: cannot be loaded \(\w+: "
        with pytest.raises(UnsupportedModel, match=said) as told, foreign_errors("model: cannot be loaded"):
            raise error
        assert told.value.__cause__ is error
    for error in (MemoryError(), BadInput("ours"), PermissionError(errno.EACCES, "Permission denied")):
        with pytest.raises(type(error)), foreign_errors("model"):
            raise error
