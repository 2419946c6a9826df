"""`python -m worker` is `prunescope worker` with the settings of the environment."""

import sys

from prunescope.jobs.settings import Settings
from prunescope.worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
