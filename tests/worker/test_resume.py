"""A prune that was killed, at any point, goes on to the same bytes as one that was left alone."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import PruneSpec, parse_spec
from prunescope.lm.errors import Cancelled
from prunescope.store.artefacts.manifest import MANIFEST
from prunescope.worker import pipeline, stages
from prunescope.worker.context import Context
from prunescope.worker.models import WarmModels
from prunescope.worker.parts import Parts
from tests.models import LAYERS
from tests.worker.conftest import PRUNE
from tests.worker.test_process import child_of, wait_for, worker

SLOW = {**PRUNE, "calibration": {"file": "text.jsonl", "samples": 10000, "seqlen": 64}}
TIMINGS = {"seconds", "stages", "restored"}


def stable(document: Any) -> Any:
    """A document without what the clock says."""
    if isinstance(document, dict):
        return {key: stable(value) for key, value in document.items() if key not in TIMINGS}
    return [stable(value) for value in document] if isinstance(document, list) else document


def contents(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file but the manifest of them, of pruning.json without what the clock says."""
    found = {}
    for file in sorted(file for file in folder.iterdir() if file.name != MANIFEST):
        data = file.read_bytes()
        if file.name == "pruning.json":
            data = json.dumps(stable(json.loads(data))).encode()
        found[file.name] = hashlib.sha256(data).hexdigest()
    return found


def spec_of(root: Path, **changes: Any) -> PruneSpec:
    calibration = {**PRUNE["calibration"], "file": str(root / "text.jsonl")}
    spec = parse_spec("prune", {**PRUNE, "model": str(root / "llama"), "calibration": calibration, **changes})
    assert isinstance(spec, PruneSpec)
    return spec


RENAMES = 1 + 2 * LAYERS  # run.json, a shard and a report for each layer


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "wanda"},
        {"method": "sparsegpt", "pattern": 0.5},
        {"method": "magnitude", "calibration": None},
    ],
    ids=lambda changes: changes["method"],
)
def test_killed_anywhere_it_ends_with_the_same_bytes(tiny_root: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Before every file of the run gets its name (so between a layer's weights and its report too), after each layer,
    in the middle of the second, while the model's folder is made. The checkpoint is float16 and computed in float32."""
    (tmp_path / "spec.json").write_text(spec_of(tiny_root, **changes).model_dump_json())
    points = [f"rename:{number}" for number in range(1, RENAMES + 1)]
    points += ["write:model.safetensors", "write:pruning.json"]
    points += [f"layer:{number}" for number in range(1, LAYERS + 1)] + ["matrix:1:self_attn.o_proj", "never"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.worker.killed_runs", tmp_path / "spec.json", tmp_path / "runs", *points],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    wanted = contents(tmp_path / "runs" / "never" / "output")
    assert {"model.safetensors", "config.json", "tokenizer.json", "pruning.json"} <= set(wanted)
    for point in points:
        assert contents(tmp_path / "runs" / point / "output") == wanted, point
    restored = [int(line.rpartition(" ")[2]) for line in ran.stdout.splitlines()]
    # After run.json, a layer counts from its report on.
    assert restored == [0, 0, 0, 1, 1, LAYERS, LAYERS, 1, LAYERS, 1, 0]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "output").mkdir()
    yield tmp_path / "output"


def stopped(spec: PruneSpec, context: Context, folder: Path, finished: Path, after: int = 1) -> None:
    """Run until so many layers are finished."""

    def check() -> None:
        if any(step.stage == "prune" and step.done == after for step in context.said):  # type: ignore[attr-defined]
            raise Cancelled

    with pytest.raises(Cancelled):
        stages.prune(spec, folder, replace(context, check=check), finished)
    context.said.clear()  # type: ignore[attr-defined]


def test_it_says_what_it_goes_on_from(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    stopped(spec_of(tiny_root), context, folder, tmp_path / "finished")
    record = stages.prune(spec_of(tiny_root), folder, context, tmp_path / "finished")
    said = [step for step in context.said if step.stage == "prune" and " · " not in step.message]  # type: ignore[attr-defined]
    assert [(step.done, step.message == "restored") for step in said] == [(0, False), (1, True), (2, False)]
    assert record["restored"] == 1 and len(record["layers"]) == LAYERS
    assert record["layers"][0]["stages"]["statistics"] > 0


def test_layers_of_another_run_are_not_gone_on_from(
    tiny_root: Path, tmp_path: Path, folder: Path, context: Context
) -> None:
    finished = tmp_path / "finished"
    stopped(spec_of(tiny_root), context, folder, finished)
    for changes in ({"pattern": 0.5}, {"calibration": {**PRUNE["calibration"], "seed": 1}}):
        if "calibration" in changes:
            changes["calibration"]["file"] = str(tiny_root / "text.jsonl")  # type: ignore[index]
        output = tmp_path / str(len(list(tmp_path.iterdir())))
        output.mkdir()
        assert stages.prune(spec_of(tiny_root, **changes), output, context, finished)["restored"] == 0


def test_a_damaged_layer_is_done_again(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    finished = tmp_path / "finished"
    stopped(spec_of(tiny_root), context, folder, finished, after=2)
    shard = finished / "layers" / f"model-00002-of-{LAYERS + 1:05d}.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert stages.prune(spec_of(tiny_root), folder, context, finished)["restored"] == 1


def test_a_killed_worker_goes_on_from_the_last_layer(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, tmp_path: Path
) -> None:
    """A real worker, killed within a prune job; the next attempt ends with the bytes of an undisturbed one."""
    log = tmp_path / "worker.log"
    settings = settings.model_copy(update={"lease_seconds": 6})  # not to be lost on a machine with other work
    job = enqueue("prune", SLOW)
    with worker(settings, log):
        wait_for(parts, job, log, JobState.RUNNING)
        report = unfinished(parts) / f"model-{job.artefact_id}" / "layers" / "model-00001.json"
        while not report.exists():
            assert parts.stores.jobs.get(job.id).state in (JobState.QUEUED, JobState.RUNNING), log.read_text()
            time.sleep(0.01)
        os.kill(child_of(parts, job), signal.SIGKILL)
        ended = wait_for(parts, job, log, JobState.SUCCEEDED, JobState.FAILED)
    assert ended.state == JobState.SUCCEEDED and ended.attempts == 2, log.read_text()
    assert any("restored" in line.line for line in parts.stores.jobs.log(job.id))
    assert not list(unfinished(parts).iterdir())
    made = Path(parts.stores.artefacts.path("model", job.artefact_id))
    first = contents(made)
    assert json.loads((made / "pruning.json").read_text())["restored"] == 1
    again = enqueue("prune", SLOW, force=True)
    with worker(settings, log):
        wait_for(parts, again, log, JobState.SUCCEEDED, JobState.FAILED)
    assert json.loads((made / "pruning.json").read_text())["restored"] == 0
    assert contents(made) == first


def test_bad_input_leaves_nothing(parts: Parts, enqueue: Callable[..., Job]) -> None:
    job = enqueue("prune", {**PRUNE, "pattern": "2:5"})
    pipeline.run(job.id, parts, WarmModels("cpu"))
    assert parts.stores.jobs.get(job.id).state == JobState.FAILED
    assert not list(unfinished(parts).iterdir())


@pytest.mark.parametrize("cancel", [True, False], ids=["cancelled", "the worker ends"])
def test_a_job_that_stops_after_a_layer(parts: Parts, enqueue: Callable[..., Job], cancel: bool) -> None:
    """Cancelled, its layers go before the row says so; given back, they stay for the next worker."""
    job = enqueue("prune", SLOW)
    thread = threading.Thread(target=pipeline.run, args=[job.id, parts, WarmModels("cpu")], daemon=True)
    thread.start()
    kept = unfinished(parts) / f"model-{job.artefact_id}"
    while not (kept / "layers" / "model-00001.json").exists():
        assert thread.is_alive()
        time.sleep(0.005)
    if cancel:
        parts.stores.jobs.cancel(job.id)
        while parts.stores.jobs.get(job.id).state == JobState.RUNNING:
            time.sleep(0.005)
        assert not kept.exists()
    else:
        parts.stopping.set()
    thread.join()
    assert parts.stores.jobs.get(job.id).state == (JobState.CANCELLED if cancel else JobState.QUEUED)
    assert kept.exists() != cancel
    parts.stopping.clear()


def unfinished(parts: Parts) -> Path:
    return Path(parts.stores.artefacts.root) / ".unfinished"
