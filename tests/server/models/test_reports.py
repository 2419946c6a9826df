"""A pruned model's report: the page, its document and its table say the same, whatever pruning.json tells."""

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prunescope.server.models.documents import LayerDocument, MatrixDocument, ModelDocument
from prunescope.server.models.matrices import SHOWN, matrices_csv, matrices_of
from prunescope.server.models.reports import read_report, report_fields
from prunescope.server.stores import Stores
from tests.server.conftest import PRUNED, PRUNED_EVALUATION, add_evaluation

SPEC: dict[str, Any] = {
    "model": "demo",
    "method": {"name": "wanda"},
    "pattern": {"kind": "unstructured", "sparsity": 0.5},
    "calibration": {"dataset": "sst2", "mode": "single", "samples": 8, "seqlen": 64, "seed": 3},
}
NAMES = ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")
SHA256 = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"


def report(**more: Any) -> dict[str, Any]:
    """Four layers of three matrices; the error grows with the layer, the sparsity falls."""
    layers = [
        {
            "layer": layer,
            "seconds": 0.5 + layer,
            "matrices": [
                {
                    "layer": layer,
                    "name": name,
                    "rows": 8 + place,
                    "columns": 16,
                    "sparsity": 0.58 - 0.05 * layer,
                    "relative_error": 0.1 + 0.03 * layer + place / 300,
                    "damping_retries": 2 if (layer, name) == (1, "mlp.down_proj") else 0,
                    "permuted": layer == 0,
                }
                for place, name in enumerate(NAMES)
            ],
        }
        for layer in range(4)
    ]
    return {
        "spec": SPEC,
        "label": "wanda · sst2 single · 0.5",
        "sparsity": 0.5,
        "relative_error": 0.1483,
        "seconds": 12.5,
        "stages": {"load": 1.0, "calibration": 0.0, "statistics": 6.0, "decide": 3.0, "forward": 1.5, "save": 0.5},
        "device": "cuda:0",
        "dtype": "bfloat16",
        "saved_dtype": "float16",
        "batch": 4,
        "restored": 1,
        "calibration": {**SPEC["calibration"], "source": "sst2", "bos": True, "tokens": 317, "sha256": SHA256},
        "versions": {"torch": "2.13.0", "numerics": 2},
        "layers": layers,
        **more,
    }


def add(stores: Stores, contents: bytes | dict[str, Any], spec: dict[str, Any] = SPEC) -> None:
    with stores.artefacts.staging("model", PRUNED) as folder:
        text = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
        (folder / "pruning.json").write_bytes(text)
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5)
        (folder / "permutations.safetensors").write_bytes(b"orders")
    summary = {"label": "wanda · sst2 single · 0.5", "sparsity": 0.5, "relative_error": 0.1483}
    stores.results.add("model", PRUNED, job=None, spec=spec, summary=summary)


def text_of(page: str) -> str:
    """What a reader sees, blanks as one."""
    body = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_the_document_says_how_the_model_was_made_and_what_was_hurt(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    document = client.get(f"/api/v1/models/{PRUNED}").json()
    expected = ("sparsity", "relative_error", "seconds", "stages", "device", "dtype", "saved_dtype", "batch")
    assert {name: document[name] for name in expected} == {name: report()[name] for name in expected}
    assert document["windows"] == {
        "source": "sst2", "mode": "single", "samples": 8, "seqlen": 64, "seed": 3, "bos": True, "tokens": 317,
        "sha256": SHA256,
    }  # fmt: skip
    assert (document["made_from"], document["base"]) == ("demo", {"label": "demo", "href": "/models/demo"})
    assert document["versions"] == {"torch": "2.13.0", "numerics": "2"}
    assert (document["permuted"], document["restored"], document["allocation"]) == (3, 1, None)
    assert [(each["layer"], each["name"]) for each in document["retried"]] == [(1, "mlp.down_proj")]
    errors = [each["relative_error"] for each in document["worst"]]
    assert len(errors) == 10 and errors == sorted(errors, reverse=True)
    assert (document["worst"][0]["layer"], document["worst"][0]["name"]) == (3, "mlp.down_proj")
    assert [file["name"] for file in document["files"]] == [
        "model.safetensors", "permutations.safetensors", "pruning.json"
    ]  # fmt: skip
    (listed,) = (each for each in client.get("/api/v1/models").json()["items"] if each["kind"] == "pruned")
    assert (listed["sparsity"], listed["relative_error"], listed["method"]) == (0.5, 0.1483, "wanda")


def test_the_table_is_the_same_as_csv_and_as_json(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    document = client.get(f"/api/v1/models/{PRUNED}").json()
    assert document["matrices_href"] == f"/api/v1/models/{PRUNED}/matrices.csv"
    answer = client.get(document["matrices_href"])
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == client.get(f"/models/{PRUNED}/matrices.csv").text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    matrices = [(layer["layer"], matrix) for layer in document["layers"] for matrix in layer["matrices"]]
    assert len(rows) == len(matrices) == 12
    for row, (layer, matrix) in zip(rows, matrices, strict=True):
        assert (int(row["layer"]), row["matrix"]) == (layer, matrix["name"])
        assert (int(row["rows"]), int(row["columns"])) == (matrix["rows"], matrix["columns"])
        assert (float(row["sparsity"]), float(row["relative_error"])) == (matrix["sparsity"], matrix["relative_error"])
        assert int(row["damping_retries"]) == matrix["damping_retries"]
        assert row["permuted"] == str(matrix["permuted"]).lower()
    assert client.get("/api/v1/models/demo/matrices.csv").status_code == 404
    assert client.get("/api/v1/models/ffffffffffffffff/matrices.csv").status_code == 404


def test_the_page_says_all_of_it_without_script(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 0, 0])
    page = client.get(f"/models/{PRUNED}").text
    shown = text_of(page)
    for said in (
        "50.0 % of the pruned weights are zero", "mean output error 0.148", "12 matrices in 4 layers", "took 12 s",
        "sst2 · single", "8 × 64 tokens, each with BOS", "317 tokens", SHA256,
        "cuda:0", "bfloat16", "at most 4 windows",
        "Channels were permuted in 3 of 12 matrices", "was verified in the permuted order", "permutations.safetensors",
        "The damping was raised 2 times", "layer 1 mlp.down_proj", "1 of 4 layers were taken over",
        "statistics 6 s", "other 500 ms", "2.13.0", "model.safetensors 1.3 kB",
    ):  # fmt: skip
        assert said in shown, said
    assert "calibration text 0" not in shown, "a stage that took no time is none"
    for layer in report()["layers"]:
        for matrix in layer["matrices"]:
            assert f"{matrix['relative_error']:.3f}" in shown
    assert f'href="/evaluations/{PRUNED_EVALUATION}"' in page
    sparse = text_of(client.get(f"/models/{PRUNED}?map=sparsity").text)
    assert "Sparsity the share of zeros in each matrix" in sparse
    assert all(f"{value} %" in sparse for value in ("58.0", "53.0", "48.0", "43.0"))


def test_the_address_and_a_shared_link_carry_what_the_table_shows(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    assert "known: error, sparsity" in client.get(f"/models/{PRUNED}?map=colour").text
    token = client.post("/api/v1/shares", json={"path": f"/models/{PRUNED}?map=sparsity"}).json()["token"]
    shared = client.get(f"/s/{token}").text
    assert "the share of zeros in each matrix" in shared
    assert "data-view" not in shared and "data-method" not in shared
    assert "Prune again" not in shared


def test_the_form_is_filled_in_to_prune_again(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    page = client.get(f"/models/{PRUNED}").text
    href = next(link for link in re.findall(r'href="([^"]+)"', page) if "method.name=wanda" in link)
    form = client.get(html.unescape(href)).text
    for path, value in (("pattern", "0.5"), ("calibration.samples", "8"), ("calibration.seqlen", "64")):
        assert re.search(f'name="{path}"[^>]* value="{value}"', form), path
    assert re.search(r'<option value="wanda"[^>]* selected', form)
    assert re.search(r'<option value="sst2"[^>]* selected', form)


def test_each_file_is_there_to_download(client: TestClient, stores: Stores) -> None:
    add(stores, report())
    files = {file["name"]: file for file in client.get(f"/api/v1/models/{PRUNED}").json()["files"]}
    answer = client.get(files["model.safetensors"]["href"])
    assert answer.content == bytes(range(256)) * 5
    assert int(answer.headers["content-length"]) == files["model.safetensors"]["bytes"]
    assert "attachment" in answer.headers["content-disposition"]
    assert client.head(files["pruning.json"]["href"]).status_code == 200
    for missing in ("nothing.json", "..%2Fpruning.json", "%2Fetc%2Fpasswd"):
        assert client.get(f"/api/v1/models/{PRUNED}/files/{missing}").status_code == 404


OLD = {
    "spec": SPEC,
    "label": "wanda · sst2 · 0.5",
    "layers": [
        {"layer": 0, "matrices": [{"name": "fc1", "rows": 4, "columns": 8, "sparsity": 0.5, "relative_error": None}]}
    ],
}
STRANGE: list[bytes] = [
    json.dumps(OLD).encode(),
    b"{}",
    b"[]",
    b"no JSON",
    b"\xff\xfe",
    b'{"layers": {"0": 1}, "stages": [1], "versions": "2", "calibration": "c4", "spec": []}',
    b'{"layers": [{"layer": 0, "matrices": [{"name": "q"}]}, 7], "sparsity": NaN, "batch": "many"}',
    b'{"layers": [{"layer": 0, "matrices": [{"name": "<b>", "rows": 2, "columns": 2, "sparsity": 0.5, '
    b'"relative_error": Infinity}]}], "spec": {"model": 3, "method": "x", "pattern": {"n": 2}, '
    b'"allocation": {"name": 1}}}',
]


@pytest.mark.parametrize("contents", STRANGE, ids=range(len(STRANGE)))
def test_older_reports_and_others_show_what_there_is(contents: bytes, client: TestClient, stores: Stores) -> None:
    add(stores, contents)
    for path in (f"/models/{PRUNED}", f"/models/{PRUNED}?map=error", f"/api/v1/models/{PRUNED}", "/models"):
        assert client.get(path).status_code == 200, path
    document = client.get(f"/api/v1/models/{PRUNED}").json()
    assert (document["sparsity"], document["method"], document["made_from"]) == (0.5, "wanda", "demo")
    if document["layers"]:
        assert "No output error was measured" in text_of(client.get(f"/models/{PRUNED}").text)


@pytest.mark.parametrize("contents", STRANGE, ids=range(len(STRANGE)))
def test_a_folder_below_a_model_root_that_was_pruned_elsewhere(
    contents: bytes, client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "from-elsewhere"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "pruning.json").write_bytes(contents)
    for path in ("/models", "/models/from-elsewhere", "/api/v1/models/from-elsewhere", "/jobs/new"):
        assert client.get(path).status_code == 200, path


def test_a_folder_with_a_report_is_a_pruned_model_that_is_not_ours_to_remove(
    client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "by hand"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "pruning.json").write_text(json.dumps(report()), encoding="utf-8")
    (listed,) = (each for each in client.get("/api/v1/models").json()["items"] if each["kind"] == "pruned")
    assert (listed["label"], listed["method"], listed["pattern"]) == ("by hand", "wanda", "0.5")
    document = client.get(f"/api/v1{listed['href']}").json()
    assert len(document["layers"]) == 4 and document["download_href"] is None
    page = client.get(listed["href"]).text
    assert "Delete" not in page and "Neurons that respond to words" in page
    assert len(client.get(document["matrices_href"]).text.splitlines()) == 13


FIELDS = (
    *("spec", "sparsity", "relative_error", "seconds", "stages", "batch", "calibration", "samples", "versions"),
    *("layers", "layer", "matrices", "name", "rows", "columns", "damping_retries", "permuted"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=20,
)


@given(json_values)
def test_no_report_is_too_strange(value: Any) -> None:
    told = report_fields(read_report(json.dumps(value).encode()))
    assert all(isinstance(layer, LayerDocument) for layer in told["layers"])


matrices = st.builds(
    MatrixDocument,
    name=st.text(max_size=6),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    sparsity=st.floats(0, 1),
    relative_error=st.none() | st.floats(0, 1e6),
    damping_retries=st.integers(0, 3),
    permuted=st.booleans(),
)
layers = st.builds(
    LayerDocument,
    layer=st.integers(0, 99),
    seconds=st.none() | st.floats(0, 1e4),
    matrices=st.lists(matrices, max_size=3, unique_by=lambda matrix: matrix.name),
)


MADE = ModelDocument.model_validate(
    {
        "id": "a",
        "reference": "a",
        "label": "a",
        "kind": "pruned",
        "href": "/models/a",
        "options": {},
        **dict.fromkeys(("base", "spec", "made_from", "allocation", "download_href", "matrices_href", "job")),
        **dict.fromkeys(("files", "evaluations", "explanations", "corpora", "attributions", "variants"), ()),
        **report_fields(read_report(b"{}")),
    }
)


@given(st.lists(layers, min_size=1, max_size=4))
def test_table_and_csv_hold_every_matrix(made: list[LayerDocument]) -> None:
    document = MADE.model_copy(update={"layers": made})
    rows = list(csv.reader(io.StringIO(matrices_csv(document))))
    assert len(rows) == 1 + sum(len(layer.matrices) for layer in made)
    for shown in SHOWN:
        matrices = matrices_of(document, shown)
        assert len(matrices.rows) == len(made)
        assert sum(columns for _, columns in matrices.groups) == len(matrices.names)
        for layer, row in zip(made, matrices.rows, strict=True):
            assert sum(cell is not None for cell in row) == len(layer.matrices)
