"""A study's tables of perplexity: as a page's document, as files, beside accuracy and alone."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.evaluations.values import perplexity
from tests.server.conftest import add_model
from tests.server.latex import compile_latex

TEXTS = ("wikitext2", "ptb")
SPEC: dict[str, Any] = {
    "name": "Perplexity",
    "models": ["demo"],
    "methods": ["magnitude", "wanda"],
    "patterns": ["0.5", "2:4"],
    "calibrations": [{"dataset": "demo", "samples": 2, "seqlen": 16, "seed": 3}],
    "perplexity": {"datasets": TEXTS, "seqlen": 32, "windows": 6},
}
LOST = {("magnitude", "0.5"): 0.5, ("magnitude", "2:4"): 3.0, ("wanda", "0.5"): 0.1, ("wanda", "2:4"): 0.25}
HARD = {text: np.random.default_rng(len(text)).normal(1.6, 0.3, 6) for text in TEXTS}
QUERY = "rows=method&columns=pattern"


def losses(text: str, method: str | None, pattern: str | None) -> Any:
    if method is None or pattern is None:
        return HARD[text]
    return HARD[text] + LOST[method, pattern] + np.random.default_rng(len(method + pattern)).normal(0, 0.02, 6)


def perplexity_of(text: str, nlls: Any) -> dict[str, Any]:
    nll = float(nlls.mean())
    size = {"tokens": 31 * len(nlls), "windows": len(nlls), "seqlen": 32}
    ends = [math.exp(nll - 0.2), math.exp(nll + 0.2)]
    whole = {"perplexity": math.exp(nll), "nll": nll, "interval": ends, **size, "sha256": text}
    return {**whole, "source": f"{text}.test.txt", "nlls": nlls.tolist()}


def measure(client: TestClient, stores: Stores, spec: dict[str, Any]) -> str:
    """The study's id; everything is measured but wanda at 2:4."""
    job = client.post("/api/v1/jobs", json={"kind": "study", "spec": spec}).json()
    for cell in stores.studies.cells(job["id"]):
        if cell.role not in {"dense", "evaluate"} or (cell.method, cell.pattern) == ("wanda", "2:4"):
            continue
        model = "demo"
        if cell.pruned is not None and cell.method is not None:
            add_model(stores, cell.pruned, cell.method)
            model = f"pruned:{cell.pruned}"
        texts = {text: perplexity_of(text, losses(text, cell.method, cell.pattern)) for text in TEXTS}
        stores.results.add_evaluation(
            cell.artefact,
            job=None,
            spec={"model": model, "tasks": list(spec.get("tasks", [])), "perplexity": SPEC["perplexity"]},
            document={"tasks": {}, "perplexity": texts},
        )
    return str(job["fingerprint"][:16])


@pytest.fixture
def study(client: TestClient, stores: Stores) -> str:
    return measure(client, stores, SPEC)


def table(client: TestClient, study: str, query: str = QUERY) -> dict[str, Any]:
    answer = client.get(f"/api/v1/studies/{study}?{query}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_study_of_perplexity_alone_shows_it_at_once(client: TestClient, study: str) -> None:
    document = table(client, study, f"{QUERY}&task=ptb")
    assert (document["measure"], document["measures"], document["show"]) == ("perplexity", ["perplexity"], "perplexity")
    assert document["axes"]["task"] == [*TEXTS] and document["published_tables"] == []
    found = document["table"]
    assert found["measure"] == "perplexity" and found["column_labels"][0]["label"] == "0.5"
    magnitude = found["rows"][0]
    cell = magnitude["cells"][0]
    nlls, dense = losses("ptb", "magnitude", "0.5"), HARD["ptb"]
    assert cell["accuracy"] is None and cell["perplexity"] == pytest.approx(math.exp(nlls.mean()))
    assert magnitude["dense"] == cell["dense"] == pytest.approx(math.exp(dense.mean()))
    assert cell["interval"] == pytest.approx([math.exp(nlls.mean() - 0.2), math.exp(nlls.mean() + 0.2)])
    paired = ttest_rel(nlls, dense)
    assert cell["difference"] == pytest.approx(nlls.mean() - dense.mean())
    assert cell["ratio"] == pytest.approx(math.exp(cell["difference"]))
    assert cell["difference_interval"] == pytest.approx(list(paired.confidence_interval(0.95)))
    assert cell["p"] == pytest.approx(paired.pvalue)
    assert (cell["rows"], cell["newly_wrong"], cell["newly_right"]) == (6 * 31, 6, 0)
    assert cell["chance"] is None and not cell["at_chance"]
    assert cell["href"] == f"/evaluations/{cell['evaluation']}"
    assert magnitude["spread"] == pytest.approx(magnitude["cells"][1]["perplexity"] / cell["perplexity"])


def test_the_best_is_the_lowest_and_a_mean_the_geometric_one(client: TestClient, study: str) -> None:
    rows = table(client, study, "rows=pattern&columns=method")["table"]["rows"]
    first = rows[0]["cells"]
    assert [cell["best"] for cell in first] == [False, True], "wanda loses less"
    assert [cell["best"] for cell in rows[1]["cells"]] == [False, False], "one of the two is not measured"
    each = [math.exp(losses(text, "wanda", "0.5").mean()) for text in TEXTS]
    assert first[1]["perplexity"] == pytest.approx(math.sqrt(each[0] * each[1]))
    ratios = [math.exp(losses(text, "wanda", "0.5").mean() - HARD[text].mean()) for text in TEXTS]
    assert first[1]["ratio"] == pytest.approx(math.sqrt(ratios[0] * ratios[1]))
    half = 0.2 / math.sqrt(2)
    middle = math.log(first[1]["perplexity"])
    assert first[1]["interval"] == pytest.approx([math.exp(middle - half), math.exp(middle + half)])
    notes = " ".join(table(client, study)["table"]["notes"])
    assert "geometric" in notes and "Student" in notes and "Wilson" not in notes


def test_it_stands_beside_accuracy_where_a_study_has_both(client: TestClient, stores: Stores) -> None:
    study = measure(client, stores, {**SPEC, "tasks": ["sst2"]})
    document = table(client, study)
    assert (document["measure"], document["measures"]) == ("accuracy", ["accuracy", "perplexity"])
    assert document["axes"]["task"] == ["sst2"]
    other = table(client, study, f"{QUERY}&measure=perplexity")
    assert other["measure"] == "perplexity" and other["axes"]["task"] == [*TEXTS]
    assert all("measure=perplexity" in link["href"] for link in [*other["tables"], *other["charts"]])
    html = client.get(f"/studies/{study}?{QUERY}").text
    assert "measure=perplexity" in html and "What was measured" in html
    alone = client.get(f"/studies/{measure(client, stores, SPEC)}?{QUERY}").text
    assert "What was measured" not in alone and "measure=perplexity" not in alone


@pytest.mark.parametrize("show", ["perplexity", "difference"])
def test_all_files_hold_the_same_table_and_say_what_it_is_of(client: TestClient, study: str, show: str) -> None:
    query = f"{QUERY}&show={show}"
    document = table(client, study, query)
    key = "ratio" if show == "difference" else "perplexity"
    cells = [[cell[key] for cell in row["cells"]] for row in document["table"]["rows"]]
    address = f"/api/v1/studies/{study}/table"
    files = {form: client.get(f"{address}.{form}?{query}") for form in ("csv", "tex", "html", "json")}
    for form, answer in files.items():
        name = f"study-{study}-perplexity-method-by-pattern.{form}"
        assert answer.status_code == 200 and name in answer.headers["content-disposition"]
    head, *lines = csv.reader(io.StringIO(files["csv"].text))
    assert head == ["method", "measure", "dense", "0.5", "2:4", "spread"]
    assert {line[1] for line in lines} == {"perplexity ratio" if show == "difference" else "perplexity"}
    assert [[float(text) if text else None for text in line[3:5]] for line in lines] == cells
    as_json = files["json"].json()
    assert as_json["table"] == document["table"] and as_json["measure"] == "perplexity"
    what = "Perplexity as a multiple of the dense model's" if show == "difference" else "Perplexity: method"
    assert as_json["caption"].startswith(what) and "the geometric mean over text" in as_json["caption"]
    text = f"{cells[0][0]:.3f}" if show == "difference" else f"{cells[0][0]:.2f}"
    assert text in files["tex"].text and text in files["html"].text
    assert "geometric mean over text" in files["tex"].text and "the lowest" in files["tex"].text
    assert "Orange: worse than the dense model" in files["html"].text
    assert '"background-color' in files["html"].text and "chance" not in files["html"].text


def test_the_latex_compiles(client: TestClient, study: str, tmp_path: Path) -> None:
    address = f"/api/v1/studies/{study}/table.tex"
    tables = {
        show: client.get(f"{address}?rows={rows}&columns={columns}&show={show}")
        for show, rows, columns in (("perplexity", "method", "pattern"), ("difference", "task", "method"))
    }
    for show, answer in tables.items():
        assert answer.status_code == 200 and answer.text.isascii(), show
    assert "as a multiple of the dense model's" in tables["difference"].text
    compile_latex({show: answer.content for show, answer in tables.items()}, tmp_path)


def test_every_cell_with_every_setting(client: TestClient, study: str) -> None:
    answer = client.get(f"/api/v1/studies/{study}/cells.csv")
    assert f"study-{study}-perplexity-cells.csv" in answer.headers["content-disposition"]
    rows = [*csv.DictReader(io.StringIO(answer.text))]
    assert len(rows) == 5 * len(TEXTS)
    found = next(r for r in rows if (r["method"], r["pattern"], r["text"]) == ("magnitude", "2:4", "wikitext2"))
    nlls, dense = losses("wikitext2", "magnitude", "2:4"), HARD["wikitext2"]
    ends = ttest_rel(nlls, dense).confidence_interval(0.95)
    wanted = {
        "perplexity": math.exp(nlls.mean()),
        "perplexity_low": math.exp(nlls.mean() - 0.2),
        "dense": math.exp(dense.mean()),
        "ratio": math.exp(nlls.mean() - dense.mean()),
        "difference_nats": nlls.mean() - dense.mean(),
        "difference_low": ends.low,
        "difference_high": ends.high,
    }
    assert {name: float(found[name]) for name in wanted} == pytest.approx(wanted)
    texts = {name: found[name] for name in ("tokens", "windows_worse", "windows_better", "perplexity_seqlen")}
    assert texts == {"tokens": "186", "windows_worse": "6", "windows_better": "0", "perplexity_seqlen": "32"}
    coming = next(row for row in rows if (row["method"], row["pattern"]) == ("wanda", "2:4"))
    assert coming["perplexity"] == coming["ratio"] == coming["p"] == ""


def test_what_cannot_be_is_said(client: TestClient, stores: Stores, study: str) -> None:
    def wrong(query: str, place: str = study) -> dict[str, Any]:
        answer = client.get(f"/api/v1/studies/{place}?{query}")
        assert answer.status_code == 422, query
        error: dict[str, Any] = answer.json()["errors"][0]
        return error

    assert wrong("measure=accuracy")["allowed"] == ["perplexity"], "it has no task"
    assert "did you mean 'perplexity'" in wrong("measure=perplexty")["message"]
    assert wrong("show=accuracy")["allowed"] == ["perplexity", "difference"]
    assert "prints no perplexity" in wrong("published=table-1")["message"]
    assert wrong("task=sst2")["allowed"] == [*TEXTS]
    assert client.get(f"/api/v1/studies/{study}/cells.csv?measure=accuracy").status_code == 422
    for form in ("csv", "json"):
        assert client.get(f"/api/v1/studies/{study}/table.{form}?measure=accuracy").status_code == 422


def test_a_broken_model_does_not_make_all_others_look_alike(client: TestClient, study: str) -> None:
    """Colours end at twice the dense perplexity, whatever the worst of the table is."""
    html = client.get(f"/studies/{study}?rows=method&columns=pattern").text
    shades = re.findall(r'<td class="cell ([^"]*)"><(?:a|span)', html)
    assert "2.00\xa0× dense or more" in html and "0.50\xa0×" in html
    lost = [
        np.mean([losses(text, method, pattern).mean() - HARD[text].mean() for text in TEXTS])
        for method, pattern in (("magnitude", "0.5"), ("magnitude", "2:4"), ("wanda", "0.5"))
    ]
    steps = [round(20 * min(1.0, float(each) / math.log(2))) for each in lost]
    assert shades == [*(f"loss-shade l{step}" for step in steps), "waiting"] and steps[1] == 20


@pytest.mark.parametrize("show", ["perplexity", "difference"])
def test_losses_beyond_every_number_are_shown_all_the_same(
    client: TestClient, study: str, monkeypatch: pytest.MonkeyPatch, show: str
) -> None:
    """Two windows of a broken model have an interval whose ends no power holds."""
    monkeypatch.setattr("prunescope.server.studies.tables.perplexity", lambda nats: perplexity(nats * 1000))
    monkeypatch.setattr("prunescope.server.studies.documents.perplexity", lambda nats: perplexity(nats * 1000))
    address = f"/studies/{study}?measure=perplexity&{QUERY}&show={show}"
    assert client.get(address, headers={"accept": "text/html"}).status_code == 200
    assert client.get(f"/api/v1{address}").status_code == 200


def test_a_perplexity_is_a_number_whatever_the_loss() -> None:
    assert perplexity(2.0) == math.exp(2)
    assert perplexity(710.0) == perplexity(1e6) < math.inf
    assert perplexity(-1e6) == 0
