"""Files that a command or a call of the API reads: regular ones, or a pipe that the shell opened, and nothing that has
no end."""

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
    """Raise a Refusal that names the option unless `file` can be read to its end: reading a pipe without a writer, or
    a device, might never end."""
    with refusing(option):
        kind = stat.S_IFMT(file.stat().st_mode)
        opened_by_the_shell = kind == stat.S_IFIFO and str(file.resolve()).startswith("/proc/")
        if kind != stat.S_IFREG and not opened_by_the_shell:
            raise Refusal(f"{option} {file} is {KINDS.get(kind, 'something else')}, not a file")
        if kind == stat.S_IFREG:
            with file.open("rb"):  # whether this user may
                pass


def calibration_source(calibration: str) -> dict[str, str]:
    """A named set, or a file by its ending; anything else is left to the spec, which lists the known sets."""
    if calibration not in CALIBRATION_SETS and (calibration.endswith(CALIBRATION_FILES) or _exists(calibration)):
        return {"file": calibration}
    return {"dataset": calibration}


def _exists(name: str) -> bool:
    try:
        return expanded(name).exists()
    except (BadPath, OSError):
        return False
