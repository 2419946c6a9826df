"""A pruned model whose bytes changed since they were written is refused by name, not used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.problems import Problem
from prunescope.worker import pipeline
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.models import tiny_folder
from tests.worker.conftest import ATTRIBUTE, PRUNE


def flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


def test_a_flipped_bit_of_a_pruned_model(parts: Parts, enqueue: Callable[..., Job]) -> None:
    job = enqueue("prune", PRUNE)
    pipeline.run(job.id, parts, ModelCache("cpu"))
    reference = parts.stores.jobs.get(job.id).result["model"]
    folder = parts.stores.artefacts.fetch_model(reference.removeprefix("pruned:"))
    models = ModelCache("cpu")
    assert models.get(folder, reference).reference == reference
    flip(folder / "model.safetensors", -1)
    said = r"is damaged: model\.safetensors is not what was written \(its sha256 differs\); prune it again with force"
    for load in (ModelCache("cpu").get, ModelCache("cpu").own):
        with pytest.raises(Problem, match=said) as raised:
            load(folder, reference)
        assert raised.value.code == "damaged"
    attribution = enqueue("attribute", {**ATTRIBUTE, "pruned": [reference]})
    pipeline.run(attribution.id, parts, ModelCache("cpu"))
    failed = parts.stores.jobs.get(attribution.id)
    assert failed.state == JobState.FAILED and failed.error["code"] == "damaged"
    (folder / "config.json").unlink()
    with pytest.raises(Problem, match=r"is damaged: config\.json cannot be read"):
        ModelCache("cpu").own(folder, reference)


def test_a_users_own_folder_is_not_compared(tmp_path: Path) -> None:
    """Whatever a folder calls a manifest: it may have been copied and changed since."""
    folder = tiny_folder(tmp_path / "mine")
    (folder / "manifest.json").write_text('{"algorithm": "sha256", "files": {"model.safetensors": {}}}')
    assert ModelCache("cpu").get(folder, str(folder)).model is not None
