"""What is taken for time.

wall    what a user waits; on a machine that does nothing else
cpu     processor time of all threads of the process; on a CPU that others use too, where waiting would count
"""

import time
from collections.abc import Callable

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
