"""Files that a command reads: regular ones, or a pipe that the shell opened, and nothing that has no end."""

import stat
from pathlib import Path

from prunescope.errors import Refusal, refusing

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
