"""Redis or PostgreSQL hang, or are away: the site answers all the same, with a 503 where it must."""

import contextlib
import threading
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from prunescope.jobs.problems import RETRY_SECONDS
from prunescope.jobs.queue import QUEUE, redis_client
from prunescope.jobs.settings import Settings
from prunescope.server import stores as stores_module
from prunescope.server.stores import Stores
from tests.hanging import hanging_postgres, hanging_redis
from tests.waiting import PATIENCE_SECONDS, wait_for

JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}


def test_a_job_is_taken_while_redis_hangs_and_sent_when_it_is_back(client: TestClient, stores: Stores) -> None:
    with hanging_redis(stores.settings.resolved_redis_url):
        answers = [client.post("/api/v1/jobs", json={**JOB, "force": True}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202] * 3
        assert client.get("/readyz").json()["checks"]["redis"] == "cannot be reached"
        assert client.get("/jobs").status_code == 200
    wait_for(lambda: stores.redis.llen(QUEUE) == 3)


def test_streams_go_on_from_the_database_while_redis_hangs(live: str, settings: Settings) -> None:
    job = httpx.post(f"{live}/api/v1/jobs", json=JOB, timeout=PATIENCE_SECONDS).json()["id"]
    with redis_client(settings) as client:
        wait_for(lambda: client.llen(QUEUE) == 1)
    with hanging_redis(settings.resolved_redis_url):
        httpx.delete(f"{live}/api/v1/jobs/{job}", timeout=PATIENCE_SECONDS)
        told = httpx.get(f"{live}/api/v1/jobs/{job}/events", timeout=PATIENCE_SECONDS).text
    assert "event: end" in told
    assert "cancelled" in told


class TestPostgres:
    @pytest.fixture
    def settings(self, settings: Settings, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setattr(stores_module, "DATABASE_SECONDS", 0.5)
        return settings.model_copy(update={"database_url": postgres_url, "sweep_seconds": 3600.0})

    @pytest.fixture(autouse=True)
    def _migrated(self, client: TestClient) -> Iterator[None]:
        assert client.post("/api/v1/jobs", json=JOB).status_code == 202
        yield

    def test_a_hanging_database_is_a_503_and_not_the_end(self, client: TestClient, settings: Settings) -> None:
        statuses: list[tuple[int, str | None]] = []

        def ask(path: str) -> None:
            answer = client.get(path)
            statuses.append((answer.status_code, answer.headers.get("retry-after")))

        with hanging_postgres(str(settings.database_url)):
            # More than there are threads for requests: the last ones wait for a thread and for a connection.
            asking = [threading.Thread(target=ask, args=(path,)) for path in ("/api/v1/jobs", "/jobs", "/") * 15]
            for thread in asking:
                thread.start()
            assert client.get("/healthz").json() == {"status": "ok"}
            for thread in asking:
                thread.join()
            assert set(statuses) == {(503, str(RETRY_SECONDS))}
            problem = client.get("/api/v1/jobs").json()
            assert (problem["code"], problem["status"]) == ("database-silent", 503)
            assert "SELECT" not in problem["detail"]
        assert client.get("/api/v1/jobs").status_code == 200
        assert client.get("/").status_code == 200

    def test_connections_that_the_database_closed_are_made_anew(
        self, app: FastAPI, client: TestClient, settings: Settings
    ) -> None:
        assert client.get("/jobs").status_code == 200
        with psycopg.connect(str(settings.database_url).replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        assert client.get("/jobs").status_code == 200


def test_a_database_that_is_away_is_a_503(client: TestClient, stores: Stores, tmp_path: object) -> None:
    stores.database.dispose()
    path = stores.settings.resolved_home / "prunescope.db"
    while not path.is_dir():  # no file: SQLite cannot open it
        for file in (path, path.with_name("prunescope.db-wal"), path.with_name("prunescope.db-shm")):
            file.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # the sweeper has made a new one meanwhile
            path.mkdir()
    answer = client.get("/api/v1/jobs")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == str(RETRY_SECONDS)
    assert client.get("/healthz").status_code == 200
