"""Broken inputs over REST: a 4xx at once, or a job that fails with a problem document of one line; never a defect."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError
from starlette.testclient import TestClient

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.queue import celery_app
from prunescope.jobs.settings import Settings
from prunescope.lm.errors import BadData
from prunescope.worker import pipeline
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.cli.conftest import TEXT
from tests.faults import broken

SIZES = {"samples": 2, "seqlen": 16}
TEXTS = [{"text": TEXT, "words": ["bad"]}]


@pytest.fixture
def parts(settings: Settings, client: TestClient) -> Iterator[Parts]:
    """The worker's parts beside the server's."""
    opened = Parts.open(settings, celery_app(settings))
    yield opened
    opened.close()
    opened.queue.close()


Ask = Callable[[str, Any], "str | None"]


@pytest.fixture
def ask(client: TestClient, parts: Parts) -> Ask:
    """POST a job and run its stage; the code of the problem that it ends with, None where it succeeded."""

    def ask_for(kind: str, spec: Any) -> str | None:
        body = json.dumps({"kind": kind, "spec": spec})
        answer = client.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})
        document = answer.json()
        if answer.status_code not in (200, 202):
            assert 400 <= answer.status_code < 500, (answer.status_code, document)
            return checked(document)
        job: Job = parts.stores.jobs.get(document["id"])
        pipeline.run(job.id, parts, ModelCache("cpu"))
        ended = parts.stores.jobs.get(job.id)
        if ended.state == JobState.SUCCEEDED:
            return None
        assert ended.state == JobState.FAILED and ended.error is not None, ended
        return checked(ended.error)

    return ask_for


def checked(problem: dict[str, Any]) -> str:
    """The code of a problem document, which says in a line what to mend."""
    assert problem["code"] != "internal" and "\n" not in problem["detail"], problem
    assert "Traceback" not in problem["detail"] and problem["detail"].strip()
    code: str = problem["code"]
    return code


@pytest.mark.parametrize("name", list(broken.MODELS))
def test_a_broken_model(ask: Ask, root: Path, name: str) -> None:
    broken.MODELS[name](root / "broken")
    calibration = {"dataset": "demo", **SIZES}
    ask("prune", {"model": "broken", "method": "ria", "pattern": 0.5, "calibration": calibration})
    ask("evaluate", {"model": "broken", "tasks": ["reviews"], "limit": 2})
    ask("attribute", {"dense": "broken", "pruned": ["llama"], "texts": TEXTS, "permutations": 0})
    ask("attribute", {"dense": "llama", "pruned": ["broken"], "texts": TEXTS, "permutations": 0})


@pytest.mark.parametrize("name", list(broken.ROWS))
def test_broken_rows(ask: Ask, root: Path, name: str) -> None:
    for file in ("rows.jsonl", "eval/sst2.jsonl", "calibration/c4.jsonl", "calibration/sst2.jsonl"):
        (root / file).write_bytes(broken.ROWS[name])
    for calibration in ({"file": "rows.jsonl"}, {"dataset": "c4"}, {"dataset": "sst2"}):
        spec = {"model": "llama", "method": "ria", "pattern": 0.5, "calibration": {**calibration, **SIZES}}
        assert ask("prune", spec) is not None
    assert ask("evaluate", {"model": "llama", "tasks": ["sst2"]}) is not None
    assert ask("evaluate", {"model": "llama", "perplexity": {"datasets": ["rows.jsonl"]}}) is not None
    texts = {"dataset": "sst2", "count": 2}
    assert ask("attribute", {"dense": "llama", "pruned": ["broken"], "texts": texts}) is not None


@pytest.mark.parametrize("name", list(broken.REFERENCES))
def test_a_model_that_is_none(ask: Ask, root: Path, name: str) -> None:
    broken.litter(root)
    reference = broken.REFERENCES[name]
    assert ask("prune", {"model": reference, "method": "magnitude", "pattern": 0.5}) is not None
    assert ask("evaluate", {"model": reference, "tasks": ["reviews"], "limit": 2}) is not None
    assert ask("attribute", {"dense": reference, "pruned": ["llama"], "texts": TEXTS}) is not None
    assert ask("attribute", {"dense": "llama", "pruned": [reference], "texts": TEXTS}) is not None


@pytest.mark.parametrize(
    ("error", "code", "kept"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes."), "out-of-memory", True),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "disk-full", True),
        (KeyError("a defect"), "internal", True),
        (BadData("line 3: no text"), "bad-data", False),
    ],
)
def test_what_ends_a_stage(
    parts: Parts, client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, kept: bool
) -> None:
    spec = {"model": "llama", "method": "magnitude", "pattern": 0.5}
    job = client.post("/api/v1/jobs", json={"kind": "prune", "spec": spec}).json()["id"]
    places: list[Path] = []

    def fails(spec: object, folder: Path, context: object, finished: Path) -> None:
        (finished / "model-00001.safetensors").write_text("a finished layer")
        places.append(finished)
        raise error

    monkeypatch.setattr(pipeline.stages, "prune", fails)
    pipeline.run(job, parts, ModelCache("cpu"))
    ended = parts.stores.jobs.get(job).error
    assert ended is not None and ended["code"] == code and "\n" not in ended["detail"], ended
    assert places[0].exists() == kept, "what is finished outlives all but bad input"
