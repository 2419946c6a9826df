"""The sweeper: what has no message is sent, what a silent worker held is queued again."""

import asyncio

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.queue import QUEUE
from prunescope.jobs.settings import Settings
from prunescope.server.stores import Stores
from prunescope.server.sweeper import sweep_for_ever
from tests.waiting import wait_for

JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"sweep_seconds": 0.05})


def test_a_job_whose_message_never_left_is_sent(client: TestClient, stores: Stores) -> None:
    stores.jobs.submit("evaluate", JOB["spec"], "f" * 64)  # type: ignore[arg-type]
    wait_for(lambda: stores.redis.llen(QUEUE) == 1)


def test_a_job_of_a_silent_worker_is_queued_again(client: TestClient, stores: Stores) -> None:
    job = client.post("/api/v1/jobs", json=JOB).json()["id"]
    wait_for(lambda: stores.redis.llen(QUEUE) == 1)
    stores.jobs.claim(job, "worker", 0.01)
    wait_for(lambda: stores.jobs.get(job).state == "queued" and stores.redis.llen(QUEUE) == 2)


def test_a_failed_round_is_not_the_last(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    async def rounds() -> None:
        task = asyncio.create_task(sweep_for_ever(stores))
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()

    stores.database.dispose()
    with stores.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO jobs_away")
    try:
        asyncio.run(rounds())
    finally:
        with stores.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE jobs_away RENAME TO jobs")
    assert "tried again" in caplog.text
