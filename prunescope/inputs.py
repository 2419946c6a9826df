"""Checks files that the command or the API reads: only regular files, and pipes that the shell opened, are accepted,
because reading another kind of file might never end."""

import stat
from pathlib import Path

from prunescope.errors import Refusal, refusing
from prunescope.jobs.paths import BadPath, expanded
from prunescope.jobs.vocabulary import CALIBRATION_SETS

CALIBRATION_FILES = (".txt", ".jsonl", ".safetensors")

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_readable(file: Path, option: str) -> None:
    """Raise Refusal, naming `option`, if `file` does not exist, cannot be read by this user, or is neither a regular
    file nor a pipe that the shell opened. Reading a named pipe or a device might never end."""
    with refusing(option):
        kind = stat.S_IFMT(file.stat().st_mode)
        opened_by_the_shell = kind == stat.S_IFIFO and str(file.resolve()).startswith("/proc/")
        if kind != stat.S_IFREG and not opened_by_the_shell:
            raise Refusal(f"{option} {file} is {KINDS.get(kind, 'something else')}, not a file")
        if kind == stat.S_IFREG:
            with file.open("rb"):  # raises OSError if this user may not read it
                pass


def calibration_source(calibration: str) -> dict[str, str]:
    """The fields of a spec's calibration that name its text: `{"file": ...}` for an existing file or a name with the
    ending of one, else `{"dataset": ...}`, whose name the spec checks."""
    if calibration not in CALIBRATION_SETS and (calibration.endswith(CALIBRATION_FILES) or _exists(calibration)):
        return {"file": calibration}
    return {"dataset": calibration}


def _exists(name: str) -> bool:
    try:
        return expanded(name).exists()
    except (BadPath, OSError):
        return False
