"""Names tell things apart: pruned models, attributions, dense models, studies, on every page that shows them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import prunescope
from prunescope.jobs.fingerprints import fingerprint
from prunescope.jobs.labels import Described, measured_label, pruned_label, told_apart
from prunescope.jobs.references import DEMO_FOLDER, canonical_reference
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import PruneSpec, StudySpec
from prunescope.server.stores import Stores
from prunescope.store.studies.grid import plan
from tests.server.conftest import ATTRIBUTION, PRUNED, add_evaluation, add_model
from tests.server.made_up import SPEC, MadeUp, write_made_up

DEMO_STUDY = Path(prunescope.__file__).parent / "studies" / "demo.yaml"


def demo_specs() -> list[PruneSpec]:
    spec = StudySpec.model_validate(yaml.safe_load(DEMO_STUDY.read_text())["spec"])
    cells = plan(spec, lambda kind, each: fingerprint(kind, each, {}))
    return [cell.spec for cell in cells if isinstance(cell.spec, PruneSpec)]


def test_all_models_of_the_demo_study_have_names_of_their_own() -> None:
    labels = [spec.label for spec in demo_specs()]
    assert len(labels) == len({*labels}) == 39
    assert {"wanda · demo 32x128 · 0.5", "wanda · demo single 32x32 · 0.5", "magnitude · 2:4"} < {*labels}


def add_pruned(stores: Stores, specs: Iterable[dict[str, Any]], label: str = "wanda · demo · 0.5") -> list[str]:
    """Models as an older version kept them, all under one stored label."""
    ids = []
    for number, spec in enumerate(specs):
        ids.append(f"{number:016x}")
        with stores.artefacts.staging("model", ids[-1]) as folder:
            (folder / "pruning.json").write_text(json.dumps({"spec": spec, "label": label, "layers": []}))
        stores.results.add("model", ids[-1], job=None, spec=spec, summary={"label": label})
    return ids


def test_models_whose_stored_labels_are_alike_are_told_apart_everywhere(client: TestClient, stores: Stores) -> None:
    ids = add_pruned(stores, [spec.model_dump(mode="json") for spec in demo_specs()])
    items = client.get("/api/v1/models?limit=200").json()["items"]
    labels = [item["label"] for item in items if item["kind"] == "pruned"]
    assert len({*labels}) == 39
    pages = [client.get(f"/models/{id}").text for id in ids]
    assert len({page.partition("<title>")[2].partition("</title>")[0] for page in pages}) == 39
    choices = [choice["label"] for choice in client.get("/api/v1/jobs/new").json()["models"]]
    assert len({*choices}) == len(choices)
    variants = client.get("/api/v1/models/demo").json()["variants"]
    assert len({link["label"] for link in variants}) == 39
    hits = client.get("/api/v1/search?q=wanda").json()["items"]
    assert len({hit["label"] for hit in hits}) == len(hits) > 1


def test_models_of_two_dense_models_pruned_alike_are_told_apart(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    assert client.get(f"/api/v1/models/{PRUNED}").json()["label"] == "wanda · c4 8x64 · 0.5"
    add_model(stores, "f" * 16, base="facebook/opt-125m")
    labels = [client.get(f"/api/v1/models/{id}").json()["label"] for id in (PRUNED, "f" * 16)]
    assert labels == ["wanda · c4 8x64 · 0.5 · of demo", "wanda · c4 8x64 · 0.5 · of facebook/opt-125m"]
    for id, reference in (("d0" * 8, PRUNED), ("e1" * 8, "f" * 16)):
        add_evaluation(stores, id, f"pruned:{reference}", [0, 1, 0, 1])
    evaluations = [item["label"] for item in client.get("/api/v1/evaluations").json()["items"]]
    assert len({*evaluations}) == 2
    stores.results.delete("evaluation", "e1" * 8)
    stores.results.delete("model", "f" * 16)
    assert client.get(f"/api/v1/models/{PRUNED}").json()["label"] == "wanda · c4 8x64 · 0.5"


def add_attribution(stores: Stores, id: str, **spec: Any) -> None:
    folder = stores.artefacts.local_path("attribution", id)
    assert folder is not None
    write_made_up(folder, spec=spec)
    stores.results.add("attribution", id, job=None, spec={**SPEC, **spec}, summary={})


def test_attributions_of_a_task_are_told_apart(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    assert client.get(f"/api/v1/attributions/{ATTRIBUTION}").json()["label"] == "reviews · demo"
    add_attribution(stores, "b2" * 8, words={"source": "cot"})
    add_attribution(stores, "c3" * 8, texts={"dataset": "reviews", "count": 2, "seed": 1})
    add_attribution(stores, "d4" * 8, pruned=[f"pruned:{PRUNED}", "facebook/opt-125m"])
    add_attribution(stores, "e5" * 8, seed=1)
    stores.results.add("attribution", "f6" * 8, job=None, spec=SPEC, summary={})  # the same once more: by its id
    ids = [ATTRIBUTION, "b2" * 8, "c3" * 8, "d4" * 8, "e5" * 8]
    labels = {id: client.get(f"/api/v1/attributions/{id}").json()["label"] for id in ids}
    assert len({*labels.values()}) == len(ids), labels
    assert "words named by the model" in labels["b2" * 8] and "seed 1" in labels["c3" * 8]
    assert "run seed 1" in labels["e5" * 8] and labels[ATTRIBUTION].endswith(f"#{ATTRIBUTION}")
    listed = {item["id"]: item["label"] for item in client.get("/api/v1/attributions").json()["items"]}
    assert listed.items() >= labels.items()
    links = client.get("/api/v1/models/demo").json()["attributions"]
    assert len({link["label"] for link in links}) == len(links) == 6
    titles = [client.get(f"/attributions/{id}/neurons/0/0").text.partition("</title>")[0] for id in ids]
    assert len({*titles}) == len(ids)
    hits = client.get("/api/v1/search?q=badly").json()["items"]
    assert len({hit["note"] for hit in hits}) == len(hits)


def test_a_dense_model_is_listed_once_whatever_its_spelling(
    client: TestClient, stores: Stores, settings: Settings
) -> None:
    add_model(stores, PRUNED, base=str(DEMO_FOLDER))
    add_evaluation(stores, "d0" * 8, "demo", [0, 1, 0, 1])
    add_evaluation(stores, "e1" * 8, f"{DEMO_FOLDER}/", [0, 1, 0, 1])
    add_evaluation(stores, "a1" * 8, "facebook/opt-125m@main", [0, 1, 0, 1])
    add_evaluation(stores, "b2" * 8, "facebook/opt-125m", [0, 1, 0, 0])
    add_evaluation(stores, "c3" * 8, "facebook/opt-125m@0123abc", [0, 1, 0, 0])
    root = settings.model_roots[0]
    root.mkdir(parents=True)
    (root / "linked").symlink_to(DEMO_FOLDER)
    items = client.get("/api/v1/models").json()["items"]
    dense = [item["label"] for item in items if item["kind"] == "dense"]
    assert dense == ["demo", "facebook/opt-125m", "facebook/opt-125m@0123abc"]
    document = client.get("/api/v1/models/demo").json()
    assert len(document["evaluations"]) == 2 and len(document["variants"]) == 1
    assert len(client.get("/api/v1/models/facebook/opt-125m").json()["evaluations"]) == 2


def test_references_have_one_spelling(tmp_path: Path) -> None:
    for name in ("one/a", "two/a", "two/b"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"")
    settings = Settings(home=tmp_path, model_roots=(tmp_path / "one", tmp_path / "two"))
    spelled = {
        "demo": "demo",
        str(DEMO_FOLDER): "demo",
        f"{DEMO_FOLDER}/": "demo",
        "a": "a",
        str(tmp_path / "one" / "a"): "a",
        str(tmp_path / "two" / "a"): str(tmp_path / "two" / "a"),  # "a" is another one
        f"{tmp_path}/two/b/": "b",
        "owner/name@main": "owner/name",
        "owner/name@v1": "owner/name@v1",
        "../gone": "../gone",
    }
    assert {text: canonical_reference(text, settings) for text in spelled} == spelled


def test_jobs_and_studies_of_one_title_are_told_apart(client: TestClient, stores: Stores) -> None:
    def submit(kind: str, spec: dict[str, Any], **more: Any) -> None:
        assert client.post("/api/v1/jobs", json={"kind": kind, "spec": spec, **more}).status_code == 202

    study = {"name": "Mine", "models": ["demo"], "methods": ["magnitude"], "patterns": ["0.5"], "tasks": ["reviews"]}
    submit("study", study)
    submit("study", {**study, "patterns": ["2:4"]})
    submit("prune", {"model": "demo", "method": "magnitude", "pattern": "0.25"})
    submit("prune", {"model": "demo", "method": "magnitude", "pattern": "0.25"}, force=True)
    titles = [job["title"] for job in client.get("/api/v1/jobs").json()["items"]]
    assert len({*titles}) == len(titles)
    studies = [item["title"] for item in client.get("/api/v1/studies").json()["items"]]
    assert sorted(studies) == ["Mine · 0.5", "Mine · 2:4"]


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ({"tasks": ["reviews"]}, "reviews"),
        ({"tasks": ["reviews", "sst2"], "limit": 200}, "reviews, sst2, 200 rows each"),
        ({"tasks": ["reviews"], "limit": 1, "seed": 3, "newline": "literal"}, r"reviews, 1 row, seed 3, \n as text"),
        ({"perplexity": {"datasets": ["a/b.txt"], "windows": 4, "seqlen": 32}}, "perplexity on b.txt 4x32"),
    ],
)
def test_what_was_measured_says_on_how_much(spec: dict[str, Any], label: str) -> None:
    assert measured_label(spec) == label


def test_a_spec_that_cannot_be_read_any_more_has_its_stored_label() -> None:
    assert pruned_label({"method": "older"}, "older · 0.5") == "older · 0.5"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "a · x"]), st.sampled_from(["", "x", "y"]), st.sampled_from("xyz")))
)
def test_no_two_things_keep_one_name(rows: list[tuple[str, str, str]]) -> None:
    things = [Described(name, (*facts, f"#{number}")) for number, (name, *facts) in enumerate(rows)]
    names = told_apart(things)
    assert len({*names}) == len(names)
    assert all(name.startswith(thing.name) for name, thing in zip(names, things, strict=True))
    alone = [thing.name for thing in things]
    # "a · x" may be what another one's name has become.
    kept = {name for name in alone if alone.count(name) == 1 and not name.startswith("a · ")}
    assert all(name == thing.name for name, thing in zip(names, things, strict=True) if thing.name in kept)
