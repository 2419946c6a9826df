"""The form that explains a loss: its fields, filled in from a link or from a job, make a valid spec."""

import re
from html import unescape

from starlette.testclient import TestClient

from prunescope.jobs.specs import ExplainSpec
from prunescope.server.stores import Stores
from tests.server.conftest import DENSE_EVALUATION, PRUNED, PRUNED_EVALUATION, add_evaluation, add_model


def chosen(html: str, path: str) -> str:
    options = re.search(rf'<select id="f-{re.escape(path)}".*?</select>', html, re.DOTALL)
    assert options is not None
    selected = re.findall(r'<option value="([^"]*)"[^>]* selected', options[0])
    return str(selected[0] if selected else re.findall(r'<option value="([^"]*)"', options[0])[0])


def test_every_field_of_the_spec_has_one_in_the_form(client: TestClient) -> None:
    html = client.get("/jobs/new?kind=explain").text
    fields = {path.partition(".")[0] for path in re.findall(r'data-field="([^"]+)"', html)}
    assert fields - {"explained-from"} == ExplainSpec.model_fields.keys()
    assert re.search(r'id="f-neurons"[^>]* value="1, 3, 10, 30, 100, 500"', html)


def test_a_link_fills_in_models_task_and_rows(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 0])
    add_evaluation(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", [0, 0, 1, 1])
    for path in (f"/evaluations/{PRUNED_EVALUATION}", f"/evaluations/{PRUNED_EVALUATION}/reviews", f"/models/{PRUNED}"):
        page = client.get(path).text
        link = re.search(r'href="(/jobs/new\?kind=explain[^"]*)"', page)
        assert link is not None, path
        html = client.get(unescape(link[1])).text
        assert f'value="pruned:{PRUNED}"' in html and 'class="notices"' not in html
        assert chosen(html, "task") == "reviews"
        assert (chosen(html, "rows") == "fell") == path.startswith("/evaluations"), "two broken rows are too few"
        assert ('value="4"' in html) == path.startswith("/evaluations"), "as many rows as were measured"
    dense = client.get(f"/evaluations/{DENSE_EVALUATION}/reviews").text
    assert "kind=explain" not in dense


def test_an_earlier_job_fills_in_the_form(client: TestClient, stores: Stores) -> None:
    add_model(stores, PRUNED)
    spec = {
        "dense": "demo",
        "pruned": f"pruned:{PRUNED}",
        "perplexity": {"dataset": "demo", "seqlen": 32},
        "rows": "all",
        "heads": False,
        "neurons": [2, 4],
        "limit": 40,
    }
    job = client.post("/api/v1/jobs", json={"kind": "explain", "spec": spec})
    assert job.status_code == 202
    html = client.get(f"/jobs/new?from={job.json()['id']}").text
    assert (chosen(html, "explained-from"), chosen(html, "rows"), chosen(html, "heads")) == ("text", "all", "false")
    for path, value in (
        ("perplexity.dataset", "demo"),
        ("perplexity.seqlen", "32"),
        ("neurons", "2, 4"),
        ("limit", "40"),
    ):
        assert re.search(rf'id="f-{re.escape(path)}"[^>]* value="{re.escape(value)}"', html), path
    assert "Explain demo against wanda · c4 8x64 · 0.5 · loss on demo, 40 windows of 32" in html
