"""Following jobs over a real connection: the snapshot first, then what happens, again after a reconnect, and an end."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from prunescope.jobs.documents import LogLine, Progress
from prunescope.jobs.events import publish_job, publish_log, publish_progress
from prunescope.jobs.settings import Settings
from prunescope.server.stores import Stores

JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
PATIENCE = 20


@dataclass(frozen=True)
class Told:
    name: str
    data: dict[str, object]
    id: str | None


class Follower:
    """Reads a stream in a thread; ``get`` waits for the next event, None at the end of the stream."""

    def __init__(self) -> None:
        self.events: queue.Queue[Told | None] = queue.Queue()

    def get(self) -> Told | None:
        return self.events.get(timeout=PATIENCE)

    def until(self, name: str) -> Told:
        while True:
            event = self.get()
            assert event is not None, f"the stream ended before {name}"
            if event.name == name:
                return event

    def read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        try:
            for line in response.iter_lines():
                key, _, value = line.partition(":")
                if line and key:
                    fields[key] = value.strip()
                elif not line and "event" in fields:
                    self.events.put(Told(fields["event"], json.loads(fields["data"]), fields.get("id")))
                    fields = {}
        except httpx.HTTPError:
            pass  # the test has left
        self.events.put(None)


@contextmanager
def following(url: str, headers: dict[str, str] | None = None) -> Iterator[Follower]:
    with httpx.Client(timeout=PATIENCE) as client, client.stream("GET", url, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        follower = Follower()
        thread = threading.Thread(target=follower.read, args=(response,), daemon=True)
        thread.start()
        yield follower


@pytest.fixture
def kept(live: str, settings: Settings) -> Iterator[Stores]:
    """The same stores as the live server's, from outside: what a worker would do."""
    stores = Stores.open(settings)
    yield stores
    stores.redis.close()
    stores.queue.close()
    stores.close()


def submit(live: str) -> str:
    id: str = httpx.post(f"{live}/api/v1/jobs", json=JOB).json()["id"]
    return id


def work(kept: Stores, job: str, done: int) -> None:
    running = kept.jobs.get(job)
    progress = Progress(stage="reviews", done=done, total=10, unit="rows", eta_seconds=2.5)
    kept.jobs.progress(job, "worker", progress)
    publish_progress(kept.redis, running, progress)


def start(kept: Stores, job: str) -> None:
    claimed = kept.jobs.claim(job, "worker", 60)
    assert claimed is not None
    publish_job(kept.redis, claimed)


def finish(kept: Stores, job: str) -> None:
    kept.jobs.succeed(job, "worker", {"evaluation": "0" * 16})
    publish_job(kept.redis, kept.jobs.get(job))


def test_a_job_is_followed_from_its_snapshot_to_its_end(live: str, kept: Stores) -> None:
    job = submit(live)
    publish_log(kept.redis, job, kept.jobs.append_log(job, "before"))
    with following(f"{live}/api/v1/jobs/{job}/events") as follower:
        first = follower.get()
        assert first is not None
        assert first.name == "snapshot"
        assert first.data["state"] == "queued"
        assert [line["line"] for line in first.data["log"]] == ["before"]  # type: ignore[attr-defined]
        start(kept, job)
        assert follower.until("job").data["state"] == "running"
        work(kept, job, 3)
        progress = follower.until("progress")
        assert progress.data["done"] == 3
        assert progress.id
        publish_log(kept.redis, job, kept.jobs.append_log(job, "half way"))
        assert follower.until("log").data["line"] == "half way"
        finish(kept, job)
        last = follower.until("job").data
        assert last["state"] == "succeeded"
        assert last["result_href"] == f"/evaluations/{'0' * 16}"
        assert follower.until("end").data == {"state": "succeeded"}
        assert follower.get() is None


def test_what_was_missed_comes_after_a_reconnect(live: str, kept: Stores) -> None:
    job = submit(live)
    start(kept, job)
    with following(f"{live}/api/v1/jobs/{job}/events") as follower:
        follower.until("snapshot")
        work(kept, job, 1)
        seen = follower.until("progress").id
    assert seen is not None
    work(kept, job, 2)
    publish_log(kept.redis, job, LogLine(at=kept.jobs.get(job).created_at, line="missed"))
    with following(f"{live}/api/v1/jobs/{job}/events", {"Last-Event-ID": seen}) as follower:
        now = follower.get()
        assert now is not None
        assert (now.name, now.data["state"]) == ("job", "running")
        assert follower.until("progress").data["done"] == 2
        assert follower.until("log").data["line"] == "missed"
    finish(kept, job)
    with following(f"{live}/api/v1/jobs/{job}/events", {"Last-Event-ID": seen}) as follower:
        names = []
        while (event := follower.get()) is not None:
            names.append(event.name)
        assert names == ["job", "progress", "log", "end"]


def test_an_ended_job_is_told_and_closed_at_once(live: str, kept: Stores) -> None:
    job = submit(live)
    httpx.delete(f"{live}/api/v1/jobs/{job}")
    with following(f"{live}/api/v1/jobs/{job}/events") as follower:
        assert follower.until("snapshot").data["state"] == "cancelled"
        assert follower.until("end").data == {"state": "cancelled"}
        assert follower.get() is None


def test_cancelling_reaches_who_watches(live: str, kept: Stores) -> None:
    job = submit(live)
    with following(f"{live}/api/v1/jobs/{job}/events") as follower:
        follower.until("snapshot")
        httpx.delete(f"{live}/api/v1/jobs/{job}")
        assert follower.until("end").data == {"state": "cancelled"}


def test_all_jobs_are_followed_in_one_stream(live: str, kept: Stores) -> None:
    first = submit(live)
    with following(f"{live}/api/v1/events") as follower:
        snapshot = follower.until("snapshot")
        assert [item["id"] for item in snapshot.data["items"]] == [first]  # type: ignore[attr-defined]
        start(kept, first)
        event = follower.until("job")
        assert (event.data["id"], event.data["state"]) == (first, "running")
        work(kept, first, 4)
        assert follower.until("job").data["progress"]["done"] == 4  # type: ignore[index]


class TestWithoutRedis:
    """Events are hints: without them the database is asked."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        return settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nothing.sock"})

    def test_a_job_is_still_followed_to_its_end(self, live: str) -> None:
        job = submit(live)
        with following(f"{live}/api/v1/jobs/{job}/events") as follower:
            assert follower.until("snapshot").data["state"] == "queued"
            httpx.delete(f"{live}/api/v1/jobs/{job}")
            assert follower.until("job").data["state"] == "cancelled"
            assert follower.until("end").data == {"state": "cancelled"}
