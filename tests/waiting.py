"""Waiting for what another thread or process is about to do."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 30
"""Only a test that fails waits so long."""


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
