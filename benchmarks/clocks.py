"""The clocks that benchmarks can use.

wall    elapsed time; for an otherwise idle machine
cpu     processor time of all threads of the process; for a shared CPU, where elapsed time includes waiting
"""

import time
from collections.abc import Callable

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
