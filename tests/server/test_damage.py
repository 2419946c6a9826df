"""A damaged attribution or evaluation is said to be damaged, and nothing else suffers from it."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import MANIFEST, write_manifest
from tests.server.conftest import ATTRIBUTION, PRUNED, PRUNED_EVALUATION, add_evaluation
from tests.server.made_up import NEURONS, SPEC, MadeUp, write_made_up

OTHER = "b2" * 8
ELSEWHERE = ("/", "/attributions", "/api/v1/attributions", "/api/v1/search?q=badly", "/search?q=L0/N1")


@pytest.fixture
def folder(made_up: MadeUp, stores: Stores) -> Path:
    """A second attribution, with a manifest as one that a worker wrote."""
    folder = stores.artefacts.local_path("attribution", OTHER)
    assert folder is not None
    write_made_up(folder)
    write_manifest(folder)
    stores.results.add("attribution", OTHER, job=None, spec=SPEC, summary={})
    return folder


def flipped(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 0x10
    file.write_bytes(data)


def is_damaged(client: TestClient, path: str) -> bool:
    answer = client.get(path)
    assert answer.status_code in {200, 409}, f"{path}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code == 409:
        assert answer.json()["code"] == "damaged"
        assert "run its job again" in answer.json()["detail"]
    return answer.status_code == 409


DAMAGES = {
    "no attributes": lambda folder: (folder / "zarr.json").write_text("{"),
    "attributes of another kind": lambda folder: (folder / "zarr.json").write_text("[]"),
    "nested without end": lambda folder: (folder / "zarr.json").write_text("[" * 100_000),
    "no tables": lambda folder: shutil.rmtree(folder / "tables"),
    "no scores": lambda folder: shutil.rmtree(folder / "score"),
    "no activations": lambda folder: shutil.rmtree(folder / "activations"),
    "no text": lambda folder: (folder / "tables" / "zarr.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_lists_mark_it_and_show_the_others(client: TestClient, folder: Path, damage: str, manifest: bool) -> None:
    DAMAGES[damage](folder)
    if not manifest:
        (folder / MANIFEST).unlink()
    for path in ELSEWHERE:
        assert client.get(path).status_code == 200, path
    items = {item["id"]: item for item in client.get("/api/v1/attributions").json()["items"]}
    assert items[ATTRIBUTION]["damaged"] is None
    if manifest:
        assert "damaged" in items[OTHER]["damaged"]
        assert items[OTHER]["label"]
        assert is_damaged(client, f"/api/v1/attributions/{OTHER}")
        page = client.get(f"/attributions/{OTHER}", headers={"accept": "text/html"})
        assert page.status_code == 409
        assert "damaged" in page.text
        assert "damaged" in client.get("/attributions", headers={"accept": "text/html"}).text


def test_one_that_is_gone_is_marked_too(client: TestClient, folder: Path) -> None:
    shutil.rmtree(folder)
    items = {item["id"]: item for item in client.get("/api/v1/attributions").json()["items"]}
    assert items[OTHER]["damaged"]
    for path in ELSEWHERE:
        assert client.get(path).status_code == 200, path


def test_no_flipped_byte_is_used_in_silence(client: TestClient, stores: Stores, folder: Path) -> None:
    """Of every file some bytes, one at a time: each document is either the right one or says that it is damaged."""
    rng = random.Random(0)
    paths = [
        f"/api/v1/attributions/{OTHER}",
        f"/api/v1/attributions/{OTHER}/layers/0",
        *(f"/api/v1/attributions/{OTHER}/neurons/0/{neuron}" for neuron in (0, NEURONS - 1)),
    ]
    right = {path: client.get(path).json() for path in paths}
    found = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        whole = file.read_bytes()
        for place in {len(whole) - 1, rng.randrange(len(whole))}:
            flipped(file, place)
            stores.attributions.forget(OTHER)
            for path in paths:
                if is_damaged(client, path):
                    found += 1
                else:
                    assert client.get(path).json() == right[path], f"{file.relative_to(folder)}, byte {place}: {path}"
            file.write_bytes(whole)
    assert found > 20
    stores.attributions.forget(OTHER)
    assert {path: client.get(path).json() for path in paths} == right


def test_a_shard_that_is_gone_is_no_zero(client: TestClient, folder: Path) -> None:
    shutil.rmtree(folder / "activations" / "dense" / "c")
    assert is_damaged(client, f"/api/v1/attributions/{OTHER}/neurons/0/1")


def test_a_shard_that_goes_while_it_is_read_is_damage_too(client: TestClient, folder: Path) -> None:
    assert not is_damaged(client, f"/api/v1/attributions/{OTHER}/neurons/0/1")
    shutil.rmtree(folder / "activations" / "dense" / "c")
    for path in ("neurons/0/1", "neurons/0/2", "neurons/0/1/heatmap.csv"):
        assert is_damaged(client, f"/api/v1/attributions/{OTHER}/{path}")


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("contents", ["{", "[]", '{"tasks": {}}', "[" * 100_000])
def test_an_evaluation(client: TestClient, stores: Stores, contents: str, manifest: bool, made_up: MadeUp) -> None:
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 1, 1, 1])
    folder = stores.artefacts.local_path("evaluation", PRUNED_EVALUATION)
    assert folder is not None
    path = f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews"
    right: dict[str, Any] = client.get(path).json()
    assert len(right["items"]) == 4
    (folder / "evaluation.json").write_text(contents)
    if not manifest:
        (folder / MANIFEST).unlink(missing_ok=True)
    answer = client.get(path)
    assert answer.status_code == 409
    assert answer.json()["code"] == "damaged"
    for other in ("/", "/evaluations", "/api/v1/evaluations", f"/evaluations/{PRUNED_EVALUATION}"):
        assert client.get(other).status_code == 200, other


def test_a_changed_answer_in_an_evaluation_is_noticed(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 1, 1, 1])
    folder = stores.artefacts.local_path("evaluation", PRUNED_EVALUATION)
    assert folder is not None
    document = json.loads((folder / "evaluation.json").read_text())
    document["tasks"]["reviews"]["examples"][0]["chosen"] = 1
    (folder / "evaluation.json").write_text(json.dumps(document))
    answer = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews")
    assert (answer.status_code, answer.json()["code"]) == (409, "damaged")
