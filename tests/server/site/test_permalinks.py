"""Copied links: a page says whether the result was made again or removed since."""

import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.documents import JobState
from prunescope.server.site.permalinks import Result, results_of
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

HTML = {"accept": "text/html"}
JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
A, B = "a" * 16, "b" * 16
PAGES = [
    f"/attributions/{ATTRIBUTION}",
    f"/attributions/{ATTRIBUTION}/layers/1",
    f"/attributions/{ATTRIBUTION}/neurons/1/5",
    f"/attributions/{ATTRIBUTION}/answering?word=badly",
    f"/attributions/{ATTRIBUTION}/compare",
    f"/attributions/{ATTRIBUTION}/texts",
    f"/evaluations/{DENSE_EVALUATION}",
    f"/evaluations/{DENSE_EVALUATION}/reviews",
    f"/explanations/{EXPLANATION}",
    f"/corpora/{CORPUS}",
    f"/corpora/{CORPUS}/neurons/0/1",
    f"/models/{PRUNED}",
]


@pytest.fixture
def everything(stores: Stores, made_up: MadeUp) -> None:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    add_explanation(stores)
    add_corpus(stores)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/attributions/{A}", [("attribution", A)]),
        (f"/attributions/{A}/neurons/1/2", [("attribution", A)]),
        (f"/attributions/{A}/compare", [("attribution", A)]),
        (f"/attributions/{A}/compare/{B}", [("attribution", A), ("attribution", B)]),
        (f"/attributions/{A}/compare/nope", []),
        (f"/%61ttributions/{A}", [("attribution", A)]),
        (f"/evaluations/{A}/sst2", [("evaluation", A)]),
        (f"/evaluations/{A}/sst2?cursor=2&against={B}", [("evaluation", A), ("evaluation", B)]),
        (f"/evaluations/{A}/sst2?against=", [("evaluation", A)]),
        (f"/evaluations/{A}?against={B}", [("evaluation", A)]),
        (f"/studies/{A}", [("study", A)]),
        (f"/models/{A}", [("model", A)]),
        ("/models/facebook/opt-125m", []),
        ("/models/demo", []),
        ("/attributions", []),
        ("/", []),
        (f"/jobs/{A}", []),
        (f"/shares/{A}", []),
        (f"/attributions/{A[1:]}", []),
    ],
)
def test_the_address_says_which_results_a_page_shows(path: str, shown: list[tuple[str, str]]) -> None:
    assert results_of(path) == tuple(Result(*each) for each in shown)


def digest_on(client: TestClient, page: str) -> str:
    return re.findall(r'<main [^>]*data-digest="([0-9a-f]{12})"', client.get(page, headers=HTML).text)[0]


def notices(client: TestClient, page: str) -> list[str]:
    answer = client.get(page, headers=HTML)
    assert answer.status_code == 200
    box = re.search(r'<div class="notices" role="status">(.*?)</div>', answer.text)
    return re.findall(r"<p>(.*?)</p>", box[1]) if box else []


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_that_its_result_was_made_again(client: TestClient, stores: Stores, page: str) -> None:
    join = "&" if "?" in page else "?"
    digest = digest_on(client, page)
    link = f"{page}{join}digest={digest}"
    assert notices(client, link) == []
    (result,) = results_of(page.partition("?")[0])
    record = stores.results.get(*result)
    stores.results.summarise(result.kind, result.id, record.summary)
    assert digest_on(client, link) == digest, "a summary that a worker writes anew makes no other result"
    job = client.post("/api/v1/jobs", json=JOB).json()["id"]
    stores.results.add(result.kind, result.id, job=job, spec=record.spec, summary=record.summary)
    (notice,) = notices(client, link)
    assert notice.startswith(f"This {result.kind} was made again after the link was made")
    assert digest_on(client, link) != digest
    (notice,) = notices(client, f"{page}{join}digest={quote('<b>')}")
    assert notice.startswith("digest: ") and "12 hexadecimal digits" in notice


def test_a_page_without_a_result_has_no_digest(client: TestClient, made_up: MadeUp) -> None:
    for page in ("/", "/jobs", "/models/demo", "/attributions", "/shares"):
        assert "data-digest" not in client.get(page, headers=HTML).text
        (notice,) = notices(client, f"{page}?digest=0123456789ab")
        assert "left out" in notice


def test_a_result_that_was_removed_is_told_from_one_that_never_was(client: TestClient, stores: Stores) -> None:
    job = client.post("/api/v1/jobs", json=JOB).json()
    id = job["fingerprint"][:16]
    page = f"/evaluations/{id}"
    never = client.get(page, headers=HTML)
    assert never.status_code == 404 and "there is no evaluation" in never.text
    assert '<a class="btn primary" href="/evaluations">List of evaluations</a>' in never.text
    after_link = client.get(f"{page}?digest=0123456789ab", headers=HTML)
    assert after_link.status_code == 404 and "was removed after this link was made" in after_link.text
    assert stores.jobs.claim(job["id"], "worker", 60) is not None
    assert stores.jobs.succeed(job["id"], "worker", {"evaluation": id})
    add_evaluation(stores, id, "demo", [0, 1])
    assert client.get(page, headers=HTML).status_code == 200
    assert client.get(f"{page}/sst2", headers=HTML).status_code == 404, "the evaluation is there, the task is not"
    assert "removed" not in client.get(f"{page}/sst2", headers=HTML).text
    assert client.delete(f"/api/v1/evaluations/{id}").status_code == 204
    gone = client.get(page, headers=HTML)
    assert gone.status_code == 404 and "This evaluation was removed" in gone.text and job["id"] in gone.text
    assert f'href="/jobs/new?from={job["id"]}">Make it again</a>' in gone.text
    document = client.get(f"/api/v1/evaluations/{id}").json()
    assert (document["code"], document["title"]) == ("removed", "This evaluation was removed")
    form = client.get(f"/jobs/new?from={job['id']}", headers=HTML)
    assert form.status_code == 200 and "reviews" in form.text
    assert stores.jobs.get(job["id"]).state == JobState.SUCCEEDED


@pytest.mark.parametrize(
    "section", ["studies", "attributions", "evaluations", "explanations", "corpora", "models", "jobs"]
)
def test_an_unknown_id_is_a_page_with_a_way_to_the_list(client: TestClient, section: str) -> None:
    for id in ("0" * 16, "nope", "%3Cb%3E", "0" * 32):
        answer = client.get(f"/{section}/{id}", headers=HTML)
        assert answer.status_code == 404, (id, answer.text[:300])
        assert f'href="/{section}">List of {section}</a>' in answer.text
