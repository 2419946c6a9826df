"""A lease is kept while the work goes on, and the work hears when it is to stop."""

import threading
import time
from collections.abc import Callable

import pytest

from prunescope.jobs.documents import Job
from prunescope.lm.errors import Cancelled
from prunescope.worker.lease import Lease
from prunescope.worker.parts import Parts
from tests.worker.conftest import PRUNE


@pytest.fixture
def running(parts: Parts, enqueue: Callable[..., Job]) -> Job:
    job = parts.stores.jobs.claim(enqueue("prune", PRUNE).id, "me", 0.4)
    assert job is not None
    return job


def lease(parts: Parts, job: Job, holder: str = "me", stopping: threading.Event | None = None) -> Lease:
    return Lease(parts.stores.jobs, job, holder, 0.4, stopping or threading.Event())


def stops(lease: Lease) -> None:
    deadline = time.monotonic() + 20
    with pytest.raises(Cancelled):
        while time.monotonic() < deadline:
            lease.check()
            time.sleep(0.02)


def test_it_is_renewed(parts: Parts, running: Job) -> None:
    with lease(parts, running) as held:
        time.sleep(1)
        assert parts.stores.jobs.requeue_expired() == []
        held.check()
    time.sleep(0.5)
    assert parts.stores.jobs.requeue_expired() == [running.id]


def test_cancelling_is_heard(parts: Parts, running: Job) -> None:
    with lease(parts, running) as held:
        parts.stores.jobs.cancel(running.id)
        stops(held)


def test_a_lease_of_somebody_else_stops_the_work(parts: Parts, running: Job) -> None:
    with lease(parts, running, "somebody else") as held:
        stops(held)


def test_the_end_of_the_worker_stops_the_work(parts: Parts, running: Job) -> None:
    stopping = threading.Event()
    with lease(parts, running, stopping=stopping) as held:
        held.check()
        stopping.set()
        stops(held)


def test_a_database_that_is_away_for_long_stops_the_work(parts: Parts, running: Job) -> None:
    class Away:
        def renew(self, *_: object) -> bool:
            raise OSError("no connection")

    with Lease(Away(), running, "me", 0.4, threading.Event()) as held:  # type: ignore[arg-type]
        stops(held)
