"""A real worker: its processes are killed, asked to end and orphaned, and every job still comes to its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.queue import QUEUE
from prunescope.jobs.settings import Settings
from prunescope.store.tables import jobs
from prunescope.worker.parts import Parts
from tests.worker.conftest import PRUNE

pytestmark = pytest.mark.slow

PATIENCE = 180.0
LONG = {"model": "llama", "tasks": ["reviews"]}


@contextmanager
def worker(settings: Settings, log: Path, *module: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "PRUNESCOPE_HOME": str(settings.home),
        "PRUNESCOPE_REDIS_URL": settings.resolved_redis_url,
        "PRUNESCOPE_MODEL_ROOTS": os.pathsep.join(map(str, settings.model_roots)),
        "PRUNESCOPE_LEASE_SECONDS": str(settings.lease_seconds),
        "PRUNESCOPE_SWEEP_SECONDS": str(settings.sweep_seconds),
        "OMP_NUM_THREADS": "1",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *(module or ["prunescope.worker"])],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


def wait_for(parts: Parts, job: Job, log: Path, *states: JobState) -> Job:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = parts.stores.jobs.get(job.id)
        if now.state in states:
            return now
        time.sleep(0.02)
    raise AssertionError(f"{now.state} {now.progress}\n{log.read_text()}")


def child_of(parts: Parts, job: Job) -> int:
    """Process id of the child that holds the job."""
    with parts.stores.database.reading() as connection:
        holder = connection.execute(select(jobs.c.worker).where(jobs.c.id == job.id)).scalar_one()
    return int(holder.split(":")[1])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def ends(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_a_killed_child(parts: Parts, enqueue: Callable[..., Job], settings: Settings, log: Path) -> None:
    """Its lease runs out, the sweep of the parent queues the job again, and the next child ends it."""
    job = enqueue("evaluate", LONG)
    with worker(settings, log):
        wait_for(parts, job, log, JobState.RUNNING)
        os.kill(child_of(parts, job), signal.SIGKILL)
        ended = wait_for(parts, job, log, JobState.SUCCEEDED, JobState.FAILED)
    assert ended.state == JobState.SUCCEEDED and ended.attempts == 2


def test_a_killed_worker_takes_its_child_along_and_another_goes_on(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, log: Path
) -> None:
    job = enqueue("evaluate", LONG)
    with worker(settings, log) as process:
        wait_for(parts, job, log, JobState.RUNNING)
        child = child_of(parts, job)
        process.kill()
        process.wait()
        assert ends(child)
    assert parts.stores.jobs.get(job.id).state == JobState.RUNNING
    with worker(settings, log) as process:
        ended = wait_for(parts, job, log, JobState.SUCCEEDED, JobState.FAILED)
        assert ended.state == JobState.SUCCEEDED and ended.attempts == 2
        # The parent never loaded torch, the child did.
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()


def test_a_message_that_went_with_a_killed_worker(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, log: Path
) -> None:
    """Redis had handed it over, and nobody was there any more. The sweep finds the queue empty and the job queued."""
    job = enqueue("prune", PRUNE)
    assert parts.events.lpop(QUEUE) is not None
    with worker(settings, log):
        assert wait_for(parts, job, log, JobState.SUCCEEDED, JobState.FAILED).state == JobState.SUCCEEDED


def test_sigterm_gives_the_job_back_at_once(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, log: Path
) -> None:
    job = enqueue("evaluate", LONG)
    waiting = enqueue("prune", PRUNE)
    with worker(settings, log) as process:
        wait_for(parts, job, log, JobState.RUNNING)
        child = child_of(parts, job)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert not alive(child)
    assert parts.stores.jobs.get(job.id).state == JobState.QUEUED, log.read_text()
    with worker(settings, log):
        for known in (job, waiting):
            assert wait_for(parts, known, log, JobState.SUCCEEDED, JobState.FAILED).state == JobState.SUCCEEDED


def test_cancelling_a_running_job(parts: Parts, enqueue: Callable[..., Job], settings: Settings, log: Path) -> None:
    job = enqueue("evaluate", LONG)
    with worker(settings, log):
        wait_for(parts, job, log, JobState.RUNNING)
        parts.stores.jobs.cancel(job.id)
        wait_for(parts, job, log, JobState.CANCELLED)
        after = enqueue("prune", PRUNE)
        assert wait_for(parts, after, log, JobState.SUCCEEDED, JobState.FAILED).state == JobState.SUCCEEDED
