"""Runs the prune stage in processes that die of a real SIGKILL at a given point, and again until it is done.

    python -m tests.worker.killed_runs SPEC.json FOLDER POINT...

Each point has a folder FOLDER/POINT of its own: `finished` for the layers, `output` for the model. A point is
`rename:N` (before the N-th file of the run gets its name), `layer:N` (when N layers are finished), `matrix:N:NAME` (in
layer N, after matrix NAME), `write:NAME` (before that file of the model is written), or `never`. This process runs no
tensor itself, so that its forks are fit to.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from prunescope.jobs.documents import Progress
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import PruneSpec
from prunescope.worker import stages
from prunescope.worker.context import Context
from prunescope.worker.models import ModelCache


def run(spec: PruneSpec, folder: Path, point: str) -> None:
    """The stage, with a kill at the point."""
    kind, _, where = point.partition(":")
    renames = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal renames
        if event == "os.rename":
            renames += 1
            if kind == "rename" and renames == int(where):
                die()
        if kind == "write" and event == "open" and str(arguments[0]) == str(folder / "output" / where):
            die()

    def report(progress: Progress) -> None:
        if progress.stage != "prune":
            return
        if kind == "layer" and progress.done == int(where) and progress.message and " · " not in progress.message:
            die()
        if kind == "matrix":
            layer, _, name = where.partition(":")
            if progress.done == int(layer) and progress.message.endswith(f" · {name}"):
                die()

    sys.addaudithook(watch)
    output = folder / "output"
    output.mkdir(parents=True, exist_ok=True)
    home = Settings(home=folder / "home")
    context = Context(home, ModelCache("cpu"), lambda reference: reference, Path, report, lambda: None)
    record = stages.prune(spec, output, context, folder / "finished")
    sys.stdout.write(f"{point} {record['restored']}\n")
    sys.stdout.flush()


def forked(work: Callable[[], None]) -> int:
    """Run it in a process of its own; how that ended."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(document: Path, folder: Path, points: list[str]) -> None:
    """Kill a run at each point, then run to the end."""
    spec = PruneSpec.model_validate_json(document.read_text())
    for point in points:
        place = folder / point
        if point != "never":
            ended = forked(lambda point=point, place=place: run(spec, place, point))  # type: ignore[misc]
            assert ended == -signal.SIGKILL, (point, ended)
            for file in (place / "output").iterdir():  # as the folder of the next attempt is empty
                file.unlink()
        ended = forked(lambda place=place: run(spec, place, "never"))  # type: ignore[misc]
        assert ended == 0, (point, ended)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
