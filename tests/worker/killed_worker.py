"""A real worker whose child dies of SIGKILL before it gives a file its name, the first time.

python -m tests.worker.killed_worker NAME
"""

import os
import signal
import sys
from pathlib import Path

from prunescope.jobs.settings import Settings
from prunescope.worker.app import run


def main(name: str) -> int:
    settings = Settings()
    died = settings.home / "died"

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and Path(str(arguments[1])).name == name and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
