"""Fixtures: a worker's connections to a real Redis and a real database, and a tiny model in a model root."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from prunescope.jobs.documents import Job
from prunescope.jobs.queue import celery_app, send
from prunescope.jobs.settings import Settings
from prunescope.store.submission import submit
from prunescope.worker.context import Context
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.models import tiny_folder

TEXT = "the room was small and the food was bad but the staff were kind"


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model root with `llama` (float16), `bare` (no safetensors) and calibration text."""
    root = tmp_path_factory.mktemp("root")
    import torch

    tiny_folder(root / "llama", dtype=torch.float16)
    tiny_folder(root / "wide", "gpt2")
    (root / "bare").mkdir()
    (root / "bare" / "config.json").write_text("{}")
    (root / "text.jsonl").write_text("".join(json.dumps({"text": TEXT + str(number)}) + "\n" for number in range(20)))
    return root


@pytest.fixture
def settings(tmp_path: Path, redis_url: str, tiny_root: Path) -> Settings:
    return Settings(
        home=tmp_path / "home", redis_url=redis_url, model_roots=(tiny_root,), lease_seconds=2, sweep_seconds=0.2
    )


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    """The parts of a worker in this process, on an empty database."""
    opened = Parts.open(settings, celery_app(settings))
    opened.stores.database.migrate()
    yield opened
    opened.close()
    opened.queue.close()


@pytest.fixture
def enqueue(parts: Parts) -> Callable[..., Job]:
    """Submit a job: `enqueue("prune", {...})`."""

    def submit_job(kind: str, spec: dict[str, Any], **options: Any) -> Job:
        job, _ = submit(parts.stores, kind, spec, send=partial(send, parts.queue), **options)
        return job

    return submit_job


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """The Context of a stage; `said` is the list of its progress reports."""
    said: list[Any] = []
    made = Context(
        settings=Settings(home=tmp_path / "home"),
        models=ModelCache("cpu"),
        place_of=lambda reference: reference,
        file_of=Path,
        report=said.append,
        check=lambda: None,
    )
    made.said = said  # type: ignore[attr-defined]
    return made


def wait_until_heard(job: Job) -> None:
    """Wait until a job that runs in this process has heard that it is to stop: its lease's thread ends."""
    for thread in threading.enumerate():
        if thread.name == f"lease of {job.id}":
            thread.join(120)
            assert not thread.is_alive()


PRUNE = {
    "model": "llama",
    "method": "wanda",
    "pattern": "2:4",
    "calibration": {"file": "text.jsonl", "samples": 4, "seqlen": 16},
}
ATTRIBUTE = {
    "dense": "llama",
    "texts": [{"text": TEXT, "label": "negative", "words": ["bad"]}],
    "permutations": 20,
}
