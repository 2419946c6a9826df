"""Models: lists, pages' documents, downloads, deletion."""

import io
import tarfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import (
    OTHER_PRUNED,
    PRUNED,
    PRUNED_EVALUATION,
    add_evaluation,
    add_model,
)


def test_models_are_the_demo_what_lies_in_the_roots_and_what_was_pruned(
    client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    add_model(stores, PRUNED, base="facebook/opt-125m")
    items = client.get("/api/v1/models").json()["items"]
    assert [item["reference"] for item in items] == ["demo", "tiny", "facebook/opt-125m", f"pruned:{PRUNED}"]
    assert [item["kind"] for item in items] == ["dense", "dense", "dense", "pruned"]
    assert items[-1]["base"] == {"label": "facebook/opt-125m", "href": "/models/facebook/opt-125m"}
    assert items[-1]["label"] == "wanda · c4 8x64 · 0.5"
    for item in items:
        answer = client.get("/api/v1" + item["href"])
        assert answer.status_code == 200
        assert answer.json()["reference"] == item["reference"]
    for unknown in ("facebook/opt-350m", "ffffffffffffffff", "%2Fetc"):
        assert client.get(f"/api/v1/models/{unknown}").status_code == 404


def test_a_pruned_model_is_shown_layer_by_layer(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 0, 0])
    document = client.get(f"/api/v1/models/pruned:{PRUNED}").json()
    (layer,) = document["layers"]
    assert layer["sparsity"] == pytest.approx(0.375)
    assert layer["relative_error"] == 0.3
    assert [matrix["name"] for matrix in layer["matrices"]] == ["mlp.up_proj", "mlp.down_proj"]
    assert document["evaluations"] == [{"label": "reviews", "href": f"/evaluations/{PRUNED_EVALUATION}"}]
    dense = client.get("/api/v1/models/demo").json()
    assert dense["variants"] == [{"label": "wanda · c4 8x64 · 0.5", "href": f"/models/{PRUNED}"}]


def test_a_model_is_downloaded_as_a_tar_file_of_its_folder(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    answer = client.get(f"/api/v1/models/{PRUNED}/download", headers={"accept-encoding": "identity"})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = archive.getnames()
        weights = archive.extractfile(f"pruned-{PRUNED}/model.safetensors")
        assert weights is not None
        assert weights.read() == bytes(range(256)) * 5
    assert names == [f"pruned-{PRUNED}/{name}" for name in ("config.json", "model.safetensors", "pruning.json")]
    assert client.get("/api/v1/models/ffffffffffffffff/download").status_code == 404


def test_dense_models_are_not_removed_and_unknown_ones_are_404(client: TestClient, stores: Stores) -> None:
    assert client.delete("/api/v1/models/demo").status_code == 409
    assert client.delete(f"/api/v1/models/{OTHER_PRUNED}").status_code == 404
    add_model(stores, PRUNED)
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 0, 0])
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 409
    assert client.delete(f"/api/v1/evaluations/{PRUNED_EVALUATION}").status_code == 204
    assert client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").status_code == 404
    assert client.delete(f"/api/v1/models/{PRUNED}").status_code == 204
