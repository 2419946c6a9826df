"""The real application over a real Redis and SQLite, with results of every kind that nobody ran."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from prunescope.jobs.settings import Settings
from prunescope.server.app import create_app
from prunescope.server.stores import Stores
from prunescope.store.corpora.documents import ListedCorpus
from prunescope.store.explanations.documents import Explanation
from prunescope.store.explanations.summary import ListedExplanation
from tests.made_up_corpus import write_made_up_corpus
from tests.made_up_explanation import made_up_explanation, write_made_up_explanation
from tests.server.made_up import SPEC, MadeUp, write_made_up

ATTRIBUTION = "a1" * 8
PRUNED, OTHER_PRUNED = "0123456789abcdef", "fedcba9876543210"
DENSE_EVALUATION, PRUNED_EVALUATION = "d0" * 8, "e1" * 8
EXPLANATION = "b2" * 8
CORPUS = "c3" * 8


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    return Settings(home=tmp_path / "home of tests", redis_url=redis_url, model_roots=(tmp_path / "models",))


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def stores(app: FastAPI, client: TestClient) -> Stores:
    stores: Stores = app.state.stores
    return stores


@pytest.fixture
def made_up(stores: Stores) -> MadeUp:
    """An attribution of the demo model and two pruned ones; the models' records are there too."""
    for id, method in ((PRUNED, "wanda"), (OTHER_PRUNED, "magnitude")):
        add_model(stores, id, method)
    folder = stores.artefacts.local_path("attribution", ATTRIBUTION)
    assert folder is not None
    made = write_made_up(folder)
    summary = {"variants": ["dense", "pruned-1", "pruned-2"], "words": ["badly", "damaged", "bland"]}
    stores.results.add("attribution", ATTRIBUTION, job=None, spec=SPEC, summary=summary)
    return made


def add_model(stores: Stores, id: str, method: str = "wanda", base: str = "demo") -> None:
    calibration = {"dataset": "c4", "samples": 8, "seqlen": 64, "seed": 0} if method == "wanda" else None
    spec: dict[str, Any] = {
        "model": base,
        "method": {"name": method},
        "pattern": {"kind": "unstructured", "sparsity": 0.5},
        "calibration": calibration,
    }
    label = "wanda · c4 · 0.5" if calibration else "magnitude · 0.5"
    matrices = [
        {"layer": 0, "name": "mlp.up_proj", "rows": 4, "columns": 8, "sparsity": 0.5, "relative_error": 0.1},
        {"layer": 0, "name": "mlp.down_proj", "rows": 8, "columns": 4, "sparsity": 0.25, "relative_error": 0.3},
    ]
    report = {"spec": spec, "label": label, "versions": {"torch": "2"}, "layers": [{"layer": 0, "matrices": matrices}]}
    with stores.artefacts.staging("model", id) as folder:
        (folder / "pruning.json").write_text(json.dumps(report), encoding="utf-8")
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5)
    summary = {"label": label, "method": method, "pattern": "0.5", "sparsity": 0.375}
    stores.results.add("model", id, job=None, spec=spec, summary=summary)


def add_evaluation(
    stores: Stores,
    id: str,
    model: str,
    chosen: list[int],
    scores: list[list[float]] | None = None,
    truncated: int = 0,
) -> None:
    """An evaluation of four reviews whose right answers are 0, 1, 0, 1."""
    given = scores or [[-1.0, -2.0] if choice == 0 else [-2.0, -1.0] for choice in chosen]
    examples = [
        {
            "index": index,
            "text": f"review {index}",
            "scores": given[index],
            "chosen": choice,
            "answer": index % 2,
            "choices": ["negative", "positive"],
        }
        for index, choice in enumerate(chosen)
    ]
    accuracy = sum(choice == index % 2 for index, choice in enumerate(chosen)) / len(chosen)
    result = {
        "task": "reviews",
        "accuracy": accuracy,
        "rows": len(chosen),
        "interval": [max(0.0, accuracy - 0.2), min(1.0, accuracy + 0.2)],
        "chance": 0.5,
        "majority": 0.5,
        "version": "1",
        "prompt_hash": "abc",
        "truncated": truncated,
    }
    spec = {"model": model, "tasks": ["reviews"], "limit": None, "seed": 0}
    with stores.artefacts.staging("evaluation", id) as folder:
        tasks = {"reviews": {**result, "examples": examples}}
        document = {"model": model, "spec": spec, "tasks": tasks, "context": 512}
        (folder / "evaluation.json").write_text(json.dumps(document), encoding="utf-8")
    stores.results.add_evaluation(id, job=None, spec=spec, document=document)


def add_explanation(
    stores: Stores, id: str = EXPLANATION, pruned: str = f"pruned:{PRUNED}", *, dense: str = "demo", **changes: Any
) -> Explanation:
    """An explanation of two models that nobody ran; ``changes`` are fields of its document."""
    document = made_up_explanation(dense, pruned, **changes)
    source = document["source"]
    text = source["perplexity"]
    spec = {
        "dense": dense,
        "pruned": pruned,
        "task": source["task"],
        "perplexity": text and {"dataset": text, "seqlen": 128, "bos": "auto"},
        "rows": "fell" if text else "broken",
        "limit": 100,
        "seed": 0,
    }
    with stores.artefacts.staging("explanation", id) as folder:
        made = write_made_up_explanation(folder, document)
    summary = ListedExplanation.read(made).model_dump(mode="json")
    stores.results.add("explanation", id, job=None, spec=spec, summary=summary)
    return made


@pytest.fixture
def live(settings: Settings) -> Iterator[str]:
    """The address of the application behind a real web server, for what a stream does."""
    app = create_app(settings)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def add_corpus(
    stores: Stores, id: str = CORPUS, models: tuple[str, ...] = ("demo", f"pruned:{PRUNED}"), **of: int
) -> Path:
    """A corpus that nobody read; returns its folder."""
    with stores.artefacts.staging("corpus", id) as folder:
        document = write_made_up_corpus(folder, list(models), **of)
    spec = {"models": list(models), "dataset": "demo", "tokens": 10_000, "examples": 2, "writes": True, "seed": 0}
    summary = ListedCorpus.read(document).model_dump()
    stores.results.add("corpus", id, job=None, spec={**spec, "seqlen": None, "layers": None}, summary=summary)
    path = stores.artefacts.local_path("corpus", id)
    assert path is not None
    return path
