"""How a process lives beside others: it ends with the one that started it, and takes no core that it does not use."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, however that happens; elsewhere this does nothing."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_politely() -> None:
    """Let OpenMP's threads sleep between two products instead of turning round and round; before torch is imported.

    On cores that are shared (with the web server, a browser, another worker) the work is several times faster for it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
