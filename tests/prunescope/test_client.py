"""The client before the real application: uvicorn on a loopback port, a real Redis, a stand-in for the worker."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import prunescope
from prunescope.client import Client, JobFailed, Refused, Unavailable
from prunescope.jobs.documents import JobState, Progress
from tests.pages.conftest import Site, served

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
PRUNE: dict[str, Any] = {"model": "demo", "method": "magnitude", "pattern": "2:4"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("home"), f"{redis_server}?db=5")


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with prunescope.connect(site.address + "/") as client:
        yield client


def test_a_job_from_its_submission_to_a_link_to_its_result(site: Site, client: Client) -> None:
    job = client.submit("prune", PRUNE)
    assert (job.new, job.state, job.address) == (True, JobState.QUEUED, f"{site.address}/jobs/{job.id}")
    with pytest.raises(ValueError, match="is queued and has no result yet"):
        job.result()
    seen: list[Progress] = []
    worker = site.worker.take(job.id)
    site.worker.say(worker, Progress(stage="prune", done=1, total=4, unit="layers"))

    def watch(progress: Progress) -> None:
        if not seen:  # what ends the job is what the client saw of it
            site.worker.finish(worker)
        seen.append(progress)

    ended = job.wait(watch)
    assert seen[0].stage == "prune" and ended.state == JobState.SUCCEEDED and job.state == JobState.QUEUED
    model = ended.result()
    assert model["id"] == worker.artefact_id and len(model["layers"]) == 4
    assert client.get(f"{site.address}/models/{model['id']}") == model == client.get(f"/api/v1/models/{model['id']}")
    link = ended.share()
    assert link.startswith(f"{site.address}/s/") and "2:4" in httpx.get(link).text
    (share,) = [each for each in client.shares() if each.url == link]
    assert (share.path, share.result) == (f"/models/{model['id']}", "same")
    client.revoke(link)
    assert httpx.get(link).status_code == 404
    assert link not in [each.url for each in client.shares()]
    with pytest.raises(Refused, match="share"):
        client.revoke(link)
    again = client.submit("prune", PRUNE)
    assert (again.new, again.id) == (False, job.id)
    forced = client.submit("prune", PRUNE, force=True)
    assert forced.new and forced.id != job.id
    assert forced.cancel().state == JobState.CANCELLED
    assert f'<a href="{forced.address}">Prune demo' in forced._repr_html_()


def test_a_job_that_fails_and_one_that_is_cancelled(site: Site, client: Client) -> None:
    job = client.submit("prune", {**PRUNE, "pattern": 0.5})
    problem = {"title": "Bad data", "status": 422, "code": "bad-data", "detail": "no text"}
    site.worker.fail(site.worker.take(job.id), problem)
    with pytest.raises(JobFailed, match=r"^the job failed: no text$") as failed:
        job.wait()
    assert failed.value.problem["code"] == "bad-data" and failed.value.job.id == job.id
    other = client.submit("prune", {**PRUNE, "pattern": 0.25})
    cancelling = threading.Thread(target=other.cancel)
    cancelling.start()
    with pytest.raises(JobFailed, match="was cancelled"):
        other.wait()
    cancelling.join()  # it still reads its answer when the wait has ended


def test_how_much_work_a_study_is(client: Client) -> None:
    study = {"models": ["demo"], "methods": ["magnitude"], "patterns": [0.5, 0.75], "tasks": ["reviews"]}
    estimate = client.estimate(study)
    assert estimate.cells == 5 and estimate.new.evaluate == 3


def test_a_checked_job_is_not_submitted(client: Client) -> None:
    spec = {**PRUNE, "pattern": 0.125}
    checked = client.check("prune", spec)
    assert checked.known is None and checked.memory is not None and checked.memory.weights > 0
    assert {command.form for command in checked.commands} >= {"curl", "python", "command"}
    job = client.submit("prune", spec)
    assert job.new
    known = client.check("prune", spec).known
    assert known is not None and known.id == job.id
    with pytest.raises(Refused, match="sparsty"):
        client.check("prune", {**PRUNE, "pattern": {"sparsty": 0.5}})
    job.cancel()


def test_what_the_server_refuses(client: Client) -> None:
    with pytest.raises(Refused, match="sparsty") as refused:
        client.submit("prune", {**PRUNE, "pattern": {"sparsty": 0.5}})
    assert [error["field"] for error in refused.value.problem["errors"]] == ["pattern.sparsty"]
    with pytest.raises(Refused, match="nobody"):
        client.job("nobody")


@pytest.mark.parametrize("address", ["", "frob", "http://", "ftp://x", "http://x:99999", "http://[::1", "http://x?a"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a server"):
        prunescope.connect(address)


def test_where_no_server_is() -> None:
    with prunescope.connect("http://127.0.0.1:9") as client, pytest.raises(Unavailable, match="no server answers at"):
        client.get("/jobs")


def test_the_example_of_the_page_runs(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "connect(" in block)  # tests/pages/test_python_page.py runs the others
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            site.worker.work_off()
            done.wait(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        room: dict[str, Any] = {}
        exec(compile(code.replace("http://127.0.0.1:8000", site.address), str(PAGE), "exec"), room)
        room["client"].close()
    finally:
        done.set()
        worker.join()
    *_, model, link = capsys.readouterr().out.splitlines()
    assert model.startswith("magnitude") and link.startswith(f"{site.address}/s/")
