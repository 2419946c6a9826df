"""A wrong value in an address: the page shows the default and says so, the JSON address answers 422 with its name."""

import html
import re

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import (
    ATTRIBUTION,
    CORPUS,
    DENSE_EVALUATION,
    EXPLANATION,
    PRUNED,
    add_corpus,
    add_evaluation,
    add_explanation,
)
from tests.server.made_up import MadeUp
from tests.server.studies.test_routes import GRID

BASE = f"/attributions/{ATTRIBUTION}"
BROWSER = {"accept": "text/html"}


@pytest.fixture(autouse=True)
def everything(client: TestClient, stores: Stores, made_up: MadeUp) -> str:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    add_explanation(stores)
    add_corpus(stores)
    id: str = client.post("/api/v1/jobs", json={"kind": "study", "spec": GRID}).json()["fingerprint"][:16]
    return id


def notices(text: str) -> list[str]:
    box = re.search(r'<div class="notices" role="status">(.*?)</div>', text)
    return [html.unescape(each) for each in re.findall(r"<p>(.*?)</p>", box[1])] if box else []


WRONG = [
    ("/jobs", "kind", "nope", "prune"),
    ("/jobs", "state", "nope", "queued"),
    ("/jobs", "cursor", "nope", "next"),
    ("/jobs/new", "kind", "nope", "evaluate"),
    ("/jobs/new", "from", "nope", "no job"),
    ("/jobs/new", "method.name", "nope", "wanda"),
    ("/jobs/new", "calibration.samples", "many", "number"),
    ("/jobs/new", "callibration.samples", "3", "calibration.samples"),
    ("/jobs/new?kind=evaluate", "task", "nope", "reviews"),
    ("/jobs/new?kind=study", "methods", "nope", "wanda"),
    ("/studies", "cursor", "nope", "next"),
    ("/models", "cursor", "nope", "next"),
    (f"/models/{PRUNED}", "map", "nope", "sparsity"),
    ("/evaluations", "cursor", "nope", "next"),
    (f"/evaluations/{DENSE_EVALUATION}/reviews", "against", "nope", "id of an evaluation"),
    (f"/evaluations/{DENSE_EVALUATION}/reviews", "cursor", "nope", "next"),
    (f"/evaluations/{DENSE_EVALUATION}/reviews", "limit", "0", "1 to 200"),
    (f"/evaluations/{DENSE_EVALUATION}/reviews", "limit", "nope", "whole number"),
    ("/explanations", "cursor", "nope", "next"),
    (f"/explanations/{EXPLANATION}", "curve", "nope", "margin, right"),
    ("/attributions", "cursor", "nope", "next"),
    (BASE, "variant", "nope", "pruned-1, pruned-2"),
    (BASE, "word", "nope", "badly"),
    (f"{BASE}/layers/0", "example", "9", "0, 1"),
    (f"{BASE}/layers/0", "example", "nope", "whole number"),
    (f"{BASE}/layers/0", "sort", "nope", "rank, drop"),
    (f"{BASE}/layers/0", "cursor", "nope", "next"),
    (f"{BASE}/layers/0", "variant", "nope", "pruned-1, pruned-2"),
    (f"{BASE}/layers/0", "show", "nope", "difference"),
    (f"{BASE}/neurons/0/1", "variant", "nope", "pruned-1, pruned-2"),
    (f"{BASE}/neurons/0/1", "example", "9", "0, 1"),
    (f"{BASE}/neurons/0/1", "activation", "nope", "relu, raw, abs"),
    (f"{BASE}/neurons/0/1", "scale", "nope", "shared, model"),
    (f"{BASE}/neurons/0/1", "curve", "nope", "linear, log"),
    (f"{BASE}/neurons/0/1", "window", "-1", "full, 16"),
    (f"{BASE}/neurons/0/1", "token", "99", "0 to 10"),
    (f"{BASE}/neurons/0/1", "token", "²", "0 to 10"),
    (f"{BASE}/neurons/0/1", "varient", "pruned-1", "variant"),
    (f"{BASE}/texts", "first", "99", "0 to 1"),
    (f"{BASE}/texts", "neuron", "nope", "L15/N2194"),
    (f"{BASE}/texts", "variant", "nope", "pruned-1, pruned-2"),
    (f"{BASE}/answering", "word", "nope", "badly"),
    (f"{BASE}/answering?word=badly", "layer", "9", "0, 1, 2"),
    (f"{BASE}/answering", "token", "99", "0 to 10"),
    ("/search", "attribution", "nope", "id of an attribution"),
    ("/", "tab", "1", "no parameters"),
    ("/shares", "cursor", "nope", "next"),
    ("/shares", "tab", "1", "cursor"),
    ("/corpora", "cursor", "nope", "next"),
    (f"/corpora/{CORPUS}", "tab", "1", "no parameters"),
    (f"/corpora/{CORPUS}/neurons/0/1", "tab", "1", "no parameters"),
    (BASE, "by", "nope", "score, margin"),
    (BASE, "explanation", "nope", "explanation"),
    (BASE, "digest", "nope", "12 hexadecimal digits"),
    (f"{BASE}/compare", "tab", "1", "no parameters"),
    (f"{BASE}/answering", "example", "9", "0, 1"),
    (f"{BASE}/layers/0", "neurons", "9", "sort"),
    (f"{BASE}/layers/0", "by", "margin", "sort"),
    (f"{BASE}/neurons/0/1", "example", "-1", "0, 1"),
    (f"{BASE}/neurons/0/1", "example", "", "0, 1"),
    ("/models/demo", "map", "nope", "sparsity"),
    (f"/models/{PRUNED}", "tab", "1", "map"),
    (f"/evaluations/{DENSE_EVALUATION}", "tab", "1", "no parameters"),
    (f"/evaluations/{DENSE_EVALUATION}/reviews", "tab", "1", "against"),
    (f"/explanations/{EXPLANATION}", "tab", "1", "curve"),
    ("/search?q=zzz", "attribution", "nope", "id of an attribution"),
]


@pytest.mark.parametrize(("page", "name", "value", "allowed"), WRONG)
def test_a_page_falls_back_to_the_default_and_says_so(
    client: TestClient, page: str, name: str, value: str, allowed: str
) -> None:
    join = "&" if "?" in page else "?"
    answer = client.get(f"{page}{join}{name}={value}", headers=BROWSER)
    assert answer.status_code == 200, answer.text
    (notice,) = notices(answer.text)
    assert notice.startswith(f"{name}: ") and allowed in notice
    assert value in notice or name in {"tab", "varient", "callibration.samples", "by", "neurons"}
    assert notices(client.get(page, headers=BROWSER).text) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", "colour"),
        ("measure", "nope"),
        ("show", "nope"),
        ("published", "nope"),
        ("chart", "nope"),
        ("task", "nope"),
    ],
)
def test_a_study_does_so_too(client: TestClient, everything: str, name: str, value: str) -> None:
    answer = client.get(f"/studies/{everything}?{name}={value}", headers=BROWSER)
    assert answer.status_code == 200
    (notice,) = notices(answer.text)
    assert notice.startswith(f"{name}: ") and value in notice
    assert client.get(f"/api/v1/studies/{everything}?{name}={value}").status_code == 422


def test_of_the_values_of_a_filter_only_the_wrong_one_is_left_out(client: TestClient, everything: str) -> None:
    answer = client.get(f"/studies/{everything}?pattern=2:4&pattern=9:9", headers=BROWSER)
    (notice,) = notices(answer.text)
    assert "9:9" in notice
    assert "pattern=2%3A4" in answer.text, "the other one still counts"


def test_several_wrong_values_have_a_notice_each_and_the_others_count(client: TestClient) -> None:
    query = "variant=nope&scale=nope&curve=log&example=%00"
    answer = client.get(f"{BASE}/neurons/0/1?{query}", headers=BROWSER)
    assert sorted(notice.partition(":")[0] for notice in notices(answer.text)) == ["example", "scale", "variant"]
    assert "scale=" not in answer.text.partition("Copy link")[2].partition("Linear")[0]
    default = client.get(f"{BASE}/neurons/0/1?curve=log", headers=BROWSER)
    assert re.sub(r'<div class="notices".*?</div>\s*', "", answer.text, flags=re.DOTALL) == default.text


def test_a_notice_is_text_and_short(client: TestClient) -> None:
    value = "<b>" + "x" * 5000
    (notice,) = notices(client.get(f"{BASE}?variant={value}", headers=BROWSER).text)
    assert "<b>" in notice and len(notice) < 500


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"{BASE}?variant=nope", "variant"),
        (f"{BASE}?word=nope", "word"),
        (f"{BASE}?layer=9", "layer"),
        (f"{BASE}/layers/0?example=9", "example"),
        (f"{BASE}/neurons?layer=9", "layer"),
        (f"{BASE}/answering?word=badly&layer=9", "layer"),
        (f"{BASE}/answering?example=9&token=1", "example"),
        (f"/evaluations/{DENSE_EVALUATION}/reviews?against=nope", "against"),
        ("/search?q=a&attribution=nope", "attribution"),
        ("/jobs?kind=nope", "kind"),
    ],
)
def test_the_json_address_names_the_parameter(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/api/v1{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_dense_models_task_says_nothing_of_what_broke(client: TestClient, stores: Stores) -> None:
    text = client.get(f"/evaluations/{DENSE_EVALUATION}/reviews", headers=BROWSER).text
    assert "was not measured on the same rows" not in text and "This is a dense model" in text
    add_evaluation(stores, "f7" * 8, f"pruned:{PRUNED}", [0, 1, 0, 1])  # of the same rows
    add_evaluation(stores, "f8" * 8, f"pruned:{PRUNED}", [0, 1])  # of others
    assert "This is a dense model" not in client.get(f"/evaluations/{'f7' * 8}/reviews", headers=BROWSER).text
    assert "not measured on the same rows" in client.get(f"/evaluations/{'f8' * 8}/reviews", headers=BROWSER).text
