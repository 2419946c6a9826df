"""Process settings: ending with the parent process, and not busy-waiting on CPU cores."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Make Linux kill this process when its parent ends for any reason; no effect on other systems."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_politely() -> None:
    """Make OpenMP's threads sleep instead of spin between parallel regions. Must be called before torch is imported.

    On cores shared with other processes (web server, browser, another worker) this makes the work several times faster.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
