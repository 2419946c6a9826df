"""The statuses that the API's description names are those that come, route by route."""

import json
from collections import defaultdict
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from prunescope.server.answers import OF_ALL, OF_CHANGES
from prunescope.server.stores import Stores
from tests.server.conftest import (
    ATTRIBUTION,
    CORPUS,
    DENSE_EVALUATION,
    EXPLANATION,
    OTHER_PRUNED,
    PRUNED,
    add_corpus,
    add_evaluation,
    add_explanation,
)
from tests.server.made_up import MadeUp

A = f"/api/v1/attributions/{ATTRIBUTION}"
NO = "0" * 16
JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
STUDY = {"kind": "study", "spec": {"models": ["demo"], "tasks": ["reviews"], "limit": 5}}
TEXT = {"text": "A badly lit room.", "words": ["badly"]}
WORDS = {"words": {"0": ["chair"]}}
LISTS = ("jobs", "models", "evaluations", "studies", "explanations", "corpora", "attributions", "shares")

# Method, path of the description, address, body. A stream is left when it has begun.
Request = tuple[str, str, str, Any]


def requests(job: str, study: str, study_job: str, token: str) -> list[Request]:
    """Of every route so many that each of its own statuses comes."""
    v1 = "/api/v1"
    gets: list[tuple[str, list[str]]] = [
        ("/jobs/new", ["/jobs/new"]),
        ("/glossary", ["/glossary"]),
        ("/guide", ["/guide"]),
        ("/guide/{page}", ["/guide/limits", "/guide/none"]),
        ("/jobs/{job}", [f"/jobs/{job}", "/jobs/none"]),
        ("/jobs/{job}/events", ["/jobs/none/events"]),
        ("/models/{model}", ["/models/demo", f"/models/{NO}"]),
        ("/models/{model}/matrices.csv", [f"/models/{PRUNED}/matrices.csv", f"/models/{NO}/matrices.csv"]),
        ("/models/{model}/download", [f"/models/{PRUNED}/download", f"/models/{NO}/download"]),
        (
            "/models/{model}/files/{file}",
            [f"/models/{PRUNED}/files/config.json", f"/models/{PRUNED}/files/no", f"/models/{NO}/files/no"],
        ),
        ("/evaluations/{evaluation}", [f"/evaluations/{DENSE_EVALUATION}", f"/evaluations/{NO}"]),
        (
            "/evaluations/{evaluation}/{task}",
            [f"/evaluations/{DENSE_EVALUATION}/{rest}" for rest in ("reviews", "sst2", "reviews?limit=0")],
        ),
        ("/studies/{study}", [f"/studies/{study}", f"/studies/{NO}", f"/studies/{study}?rows=no"]),
        ("/studies/{study}/jobs", [f"/studies/{id}/jobs{q}" for id, q in ((study, ""), (NO, ""), (study, "?limit=0"))]),
        (
            "/studies/{study}/table.{form}",
            [f"/studies/{id}/table.{form}" for id, form in ((study, "csv"), (NO, "csv"), (study, "pdf"))],
        ),
        (
            "/studies/{study}/cells.csv",
            [f"/studies/{id}/cells.csv{q}" for id, q in ((study, ""), (NO, ""), (study, "?measure=no"))],
        ),
        *(
            (f"/explanations/{{explanation}}{rest}", [f"/explanations/{id}{rest}" for id in (EXPLANATION, NO)])
            for rest in ("", "/neurons.csv", "/curves.csv")
        ),
        ("/corpora/{corpus}", [f"/corpora/{id}" for id in (CORPUS, NO)]),
        (
            "/corpora/{corpus}/neurons/{layer}/{neuron}",
            [f"/corpora/{CORPUS}/neurons/{place}" for place in ("0/1", "0/99", "x/1")],
        ),
        ("/attributions/{attribution}/compare", [f"/attributions/{id}/compare" for id in (ATTRIBUTION, NO)]),
        ("/attributions/{attribution}/texts", [f"/attributions/{id}/texts" for id in (ATTRIBUTION, NO)]),
        (
            "/attributions/{attribution}/neurons/{layer}/{neuron}/beside",
            [f"/attributions/{ATTRIBUTION}/neurons/1/{place}/beside" for place in ("7", "99", "x")],
        ),
        ("/search", ["/search?q=badly", f"/search?q=badly&attribution={NO}"]),
        ("/", ["/"]),
    ]
    inside = {
        "": ("", "?sort=no", None),
        "/layers/{layer}": ("/layers/1", "/layers/one", "/layers/9"),
        "/neurons": ("/neurons", "/neurons?limit=0", None),
        "/answering": ("/answering?word=badly", "/answering?layer=x", None),
        "/neurons/{layer}/{neuron}": ("/neurons/1/7", "/neurons/1/x", "/neurons/1/99"),
        "/neurons/{layer}/{neuron}/heatmap.{form}": (
            "/neurons/1/7/heatmap.csv",
            "/neurons/1/7/heatmap.pdf",
            "/neurons/9/7/heatmap.csv",
        ),
        "/compare/{other}": (f"/compare/{ATTRIBUTION}", f"/compare/{ATTRIBUTION}?top=x", f"/compare/{NO}"),
    }
    for template, (right, wrong, none) in inside.items():
        addresses = [f"/attributions/{ATTRIBUTION}{right}", f"/attributions/{ATTRIBUTION}{wrong}"]
        addresses.append(f"/attributions/{NO}{right}" if none is None else f"/attributions/{ATTRIBUTION}{none}")
        gets.append((f"/attributions/{{attribution}}{template}", addresses))
    gets += [(f"/{name}", [f"/{name}", f"/{name}?limit=0"]) for name in LISTS]
    found: list[Request] = [("GET", v1 + template, v1 + address, None) for template, each in gets for address in each]
    found += [("GET", path, path, None) for path in ("/healthz", "/readyz")]
    posts: list[tuple[str, str, Any]] = [
        ("/jobs", "/jobs", JOB),  # known already
        ("/jobs", "/jobs", {**JOB, "force": True}),
        ("/jobs", "/jobs", {**JOB, "kind": "no"}),
        ("/jobs/check", "/jobs/check", JOB),
        ("/jobs/check", "/jobs/check", {**JOB, "kind": "no"}),
        ("/studies/estimate", "/studies/estimate", {"spec": STUDY["spec"]}),
        ("/studies/estimate", "/studies/estimate", {"spec": {}}),
        ("/attributions/{attribution}/texts", f"/attributions/{ATTRIBUTION}/texts", TEXT),
        ("/attributions/{attribution}/texts", f"/attributions/{ATTRIBUTION}/texts", TEXT),
        ("/attributions/{attribution}/texts", f"/attributions/{ATTRIBUTION}/texts", {}),
        ("/attributions/{attribution}/texts", f"/attributions/{NO}/texts", TEXT),
        ("/attributions/{attribution}/words", f"/attributions/{ATTRIBUTION}/words", WORDS),
        ("/attributions/{attribution}/words", f"/attributions/{ATTRIBUTION}/words", WORDS),
        ("/attributions/{attribution}/words", f"/attributions/{ATTRIBUTION}/words", {}),
        ("/attributions/{attribution}/words", f"/attributions/{NO}/words", WORDS),
        ("/shares", "/shares", {"path": "/jobs"}),
        ("/shares", "/shares", {"path": "/nowhere"}),
        ("/jobs/{job}/retry", f"/jobs/{job}/retry", None),  # it is queued
        ("/jobs/{job}/retry", "/jobs/none/retry", None),
        ("/studies/{study}/retry", f"/studies/{study}/retry", None),
        ("/studies/{study}/retry", f"/studies/{NO}/retry", None),
    ]
    found += [("POST", v1 + template, v1 + address, body) for template, address, body in posts]
    deletes = [
        ("/shares/{token}", f"/shares/{token}"),
        ("/shares/{token}", "/shares/none"),
        ("/jobs/{job}", "/jobs/none"),
        ("/jobs/{job}", f"/jobs/{study_job}"),
        ("/studies/{study}", f"/studies/{NO}"),
        ("/models/{model}", f"/models/{NO}"),
        ("/models/{model}", f"/models/{PRUNED}"),  # the attribution uses it
        ("/evaluations/{evaluation}", f"/evaluations/{NO}"),
        ("/evaluations/{evaluation}", f"/evaluations/{DENSE_EVALUATION}"),
        ("/corpora/{corpus}", f"/corpora/{NO}"),
        ("/corpora/{corpus}", f"/corpora/{CORPUS}"),
        ("/explanations/{explanation}", f"/explanations/{NO}"),
        ("/explanations/{explanation}", f"/explanations/{EXPLANATION}"),
        ("/attributions/{attribution}", f"/attributions/{NO}"),
        ("/attributions/{attribution}", f"/attributions/{ATTRIBUTION}"),
        ("/models/{model}", f"/models/{OTHER_PRUNED}"),
    ]
    return found + [("DELETE", v1 + template, v1 + address, None) for template, address in deletes]


@pytest.fixture
def described(client: TestClient) -> dict[tuple[str, str], set[str]]:
    """(method, path) -> the statuses that the description names."""
    paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path): {*each["responses"]} for path, of in paths.items() for method, each in of.items()}


def test_every_status_that_comes_is_described_and_every_described_one_comes(
    client: TestClient, stores: Stores, made_up: MadeUp, described: dict[tuple[str, str], set[str]]
) -> None:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    add_explanation(stores)
    add_corpus(stores)
    job = client.post("/api/v1/jobs", json=JOB).json()["id"]
    made = client.post("/api/v1/jobs", json=STUDY).json()
    study = made["result_href"].rpartition("/")[2]
    token = client.post("/api/v1/shares", json={"path": "/"}).json()["token"]
    came: dict[tuple[str, str], set[str]] = defaultdict(set)
    for method, template, address, body in requests(job, study, made["id"], token):
        answer = client.request(method, address, json=body) if body is not None else client.request(method, address)
        came[method, template].add(str(answer.status_code))
        assert str(answer.status_code) in described[method, template], (method, address, answer.text[:300])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
    # What only another state of things brings; each is shown by a test of its own.
    elsewhere = {
        ("GET", "/api/v1/jobs/{job}/events"): {"200"},
        ("GET", "/api/v1/events"): {"200"},
        ("GET", "/api/v1/attributions/{attribution}/neurons/{layer}/{neuron}"): {"304"},
        ("GET", "/api/v1/attributions/{attribution}/compare/{other}"): {"200"},
        ("POST", "/api/v1/jobs/{job}/retry"): {"202"},
        ("POST", "/api/v1/studies/{study}/retry"): {"202"},
        ("DELETE", "/api/v1/jobs/{job}"): {"202"},
        ("DELETE", "/api/v1/models/{model}"): {"204"},
        ("DELETE", "/api/v1/studies/{study}"): {"204", "409"},
        ("DELETE", "/api/v1/evaluations/{evaluation}"): {"409"},
        ("DELETE", "/api/v1/explanations/{explanation}"): {"409"},
        ("DELETE", "/api/v1/corpora/{corpus}"): {"409"},
        ("DELETE", "/api/v1/attributions/{attribution}"): {"409"},
    }
    for route, statuses in described.items():
        own = statuses - {*OF_ALL} - ({*OF_CHANGES} if route[0] != "GET" else set())
        assert own - elsewhere.get(route, set()) <= came[route], route


def test_what_any_route_may_answer(client: TestClient, described: dict[tuple[str, str], set[str]]) -> None:
    """Before a route sees its request: with a null character, a long address, a foreign name, as no JSON, from a page
    of another site, with too much."""
    for (method, path), statuses in described.items():
        address = path.replace("{layer}", "1").replace("{neuron}", "1")
        came = [
            client.request(method, f"{address}?x=%00"),
            client.request(method, f"{address}?x=" + "a" * 20_000),
            client.request(method, address, headers={"host": "evil.example"}),
        ]
        assert [answer.status_code for answer in came[1:]] == [414, 421]
        if path.startswith("/api/"):  # elsewhere a page says what it left out
            assert came[0].status_code == 400
        assert {"400", "414", "421", "503"} <= statuses
        if method != "GET":
            headers = {"content-type": "application/json"}
            came = [
                client.request(method, address, headers={"origin": "http://evil.example"}),
                client.request(method, address, content=b"x", headers={"content-type": "text/plain"}),
                client.request(method, address, headers={**headers, "content-length": "99999999"}),
            ]
            assert [answer.status_code for answer in came] == [403, 415, 413]
            assert {"403", "413", "415"} <= statuses


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/jobs", "GET, HEAD, POST"),
        ("PATCH", "/api/v1/jobs/x", "DELETE, GET, HEAD"),
        ("GET", "/api/v1/jobs/x/retry", "POST"),
        ("POST", f"{A}", "DELETE, GET, HEAD"),
        ("DELETE", f"{A}/texts", "GET, HEAD, POST"),
        ("DELETE", f"/attributions/{ATTRIBUTION}/texts", "GET, HEAD, POST"),
        ("GET", "/api/v1/shares/x", "DELETE"),
        ("PUT", "/s/x", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/api/v1/jobs", "GET, HEAD, POST"),
    ],
)
def test_405_names_every_method_of_the_address(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json()["detail"]


def test_the_description_is_whole(app: FastAPI) -> None:
    document = json.dumps(app.openapi())
    assert "HTTPValidationError" not in document
    assert "#/components/schemas/Problem" in document
