"""Runs the worker for `python -m prunescope.worker`, with settings from the environment."""

import sys

from prunescope.jobs.settings import Settings
from prunescope.worker.app import run

if __name__ == "__main__":
    sys.exit(run(Settings()))
