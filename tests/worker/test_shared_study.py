"""Two real workers share a study, and one of them is killed half-way: no cell is lost, none is done twice."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.settings import Settings
from prunescope.store.studies.table import StudyCell
from prunescope.store.tables import jobs
from prunescope.worker.parts import Parts
from tests.worker.test_process import worker

Value = TypeVar("Value")

PATIENCE = 900.0
PATTERNS = 40
STUDY = {
    "models": ["llama"],
    "methods": ["magnitude"],
    "patterns": [number / (2 * PATTERNS) for number in range(PATTERNS)],
    "tasks": ["reviews"],
    "limit": 2,
}
CELLS = 1 + 2 * PATTERNS


@pytest.mark.slow
def test_a_study_outlives_one_of_its_two_workers(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, tmp_path: Path
) -> None:
    study = enqueue("study", STUDY)
    assert study.progress.total == CELLS
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with worker(settings, first) as doomed, worker(settings, second):
        killed = kill_in_the_middle_of_a_cell(parts, study, doomed, first, second)
        ended = wait_until(lambda: parts.stores.jobs.get(study.id), lambda job: job.state.ended, first, second)
    cells = parts.stores.studies.cells(study.id)
    assert ended.state == JobState.SUCCEEDED, ended.error
    assert ended.progress.done == ended.progress.total == len(cells) == CELLS
    assert [cell for cell in cells if cell.state != JobState.SUCCEEDED or not kept(parts, cell)] == []

    # Only what the killed worker held was started again, and nothing came to its end twice.
    attempts = {job.id: job.attempts for job in parts.stores.jobs.many(cell.job for cell in cells).values()}
    assert {job: count for job, count in attempts.items() if count != 1} == {killed: 2}
    finished = [Counter(re.findall(r"job (\w{32}): done$", log.read_text(), re.MULTILINE)) for log in (first, second)]
    together = finished[0] + finished[1]
    assert together.most_common(1)[0][1] == 1 and together.keys() == attempts.keys()
    assert min(count.total() for count in finished) > CELLS // 10, "both had their share"
    assert killed not in finished[0]


def kill_in_the_middle_of_a_cell(parts: Parts, study: Job, doomed: subprocess.Popen[bytes], *logs: Path) -> str:
    """SIGKILL for a worker and its child once half of the cells are done; the job that it held."""
    wait_until(lambda: parts.stores.jobs.get(study.id), lambda job: job.progress.done >= CELLS // 2, *logs)
    while True:
        held = wait_until(lambda: held_by(parts, doomed), lambda job: job is not None, *logs)
        os.killpg(doomed.pid, signal.SIGSTOP)
        # Stopped, it ends nothing more: what it holds now it will hold when it is killed.
        if held is not None and held_by(parts, doomed) == held:
            os.killpg(doomed.pid, signal.SIGKILL)
            doomed.wait()
            return held
        os.killpg(doomed.pid, signal.SIGCONT)


def held_by(parts: Parts, process: subprocess.Popen[bytes]) -> str | None:
    """The job that runs in a child of the worker."""
    with parts.stores.database.reading() as connection:
        running = select(jobs.c.id, jobs.c.worker).where(jobs.c.state == JobState.RUNNING, jobs.c.worker.is_not(None))
        for job, holder in connection.execute(running):
            if os.getpgid(int(holder.split(":")[1])) == process.pid:
                return str(job)
    return None


def kept(parts: Parts, cell: StudyCell) -> bool:
    """What the cell makes is there, with its record."""
    kind = {"prune": "model"}.get(cell.role, "evaluation")
    return parts.stores.artefacts.exists(kind, cell.artefact) and parts.stores.results.exists(kind, cell.artefact)


def wait_until(ask: Callable[[], Value], reached: Callable[[Value], bool], *logs: Path) -> Value:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = ask()
        if reached(now):
            return now
        time.sleep(0.02)
    raise AssertionError(f"{now}\n" + "\n".join(log.read_text() for log in logs))
