"""`python -m worker` is `prunescope worker` with the settings of the environment."""

import sys

from jobs.settings import Settings
from worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
