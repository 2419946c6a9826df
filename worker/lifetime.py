"""Settings of this process: it ends with its parent process, and its threads do not busy-wait on CPU cores."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Make Linux kill this process (SIGKILL) when its parent ends for any reason. No effect on other systems."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_passively() -> None:
    """Make OpenMP's threads sleep instead of spin between parallel regions. To be called before torch is imported.

    If other processes (web server, browser, another worker) use the same cores, the work is several times faster.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
