"""Texts of one's own and words chosen by hand: what becomes a job, what is refused, and how it goes on."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.server.texts.queries import text_words
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import SPEC, MadeUp

PAGE = f"/attributions/{ATTRIBUTION}"
BASE = f"/api/v1{PAGE}"
OWN = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
BROWSER = {**OWN, "accept": "text/html"}
SCRIPT = {**OWN, "accept": "application/json"}
TEXT = "Not bad, not good. Badly lit."


def post(client: TestClient, what: str, **body: Any) -> Any:
    return client.post(f"{BASE}/{what}", json=body)


def test_a_text_goes_through_the_same_models_with_the_same_settings(client: TestClient, made_up: MadeUp) -> None:
    answer = post(client, "texts", text=TEXT, label="negative", source="gradient")
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert job["kind"] == "attribute" and job["state"] == "queued"
    same = ("dense", "pruned", "prompt", "activation", "layers", "permutations", "seed")
    assert {name: job["spec"][name] for name in same} == {name: SPEC[name] for name in same}
    assert job["spec"]["texts"] == [{"text": TEXT, "label": "negative", "words": None}]
    assert job["spec"]["words"] == {"source": "gradient"}
    assert job["then_href"] == f"/attributions/{job['fingerprint'][:16]}"


def test_the_same_text_again_is_the_same_job(client: TestClient, made_up: MadeUp) -> None:
    first = post(client, "texts", text=TEXT).json()
    again = post(client, "texts", text=TEXT)
    assert again.status_code == 200 and again.json()["id"] == first["id"]


def test_a_text_alone_is_enough(client: TestClient, made_up: MadeUp) -> None:
    """The attribution's words were chosen by hand: those of the text are what the model's own answer hangs on."""
    spec = post(client, "texts", text=TEXT).json()["spec"]
    assert spec["words"] == {"source": "occlusion"} and spec["texts"][0]["label"] is None


def test_words_of_the_text_may_come_along(client: TestClient, made_up: MadeUp) -> None:
    spec = post(client, "texts", text=TEXT, words=["not bad", "lit"]).json()["spec"]
    assert spec["words"] == {"source": "manual"} and spec["texts"][0]["words"] == ["not bad", "lit"]


def test_several_texts_are_one_attribution(client: TestClient, made_up: MadeUp) -> None:
    texts = [{"text": "Bad.", "words": ["bad"]}, {"text": "So so.", "words": []}]
    spec = post(client, "texts", texts=texts).json()["spec"]
    assert [text["words"] for text in spec["texts"]] == [["bad"], []]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"text": " \n"}, "texts.0.text", "the text is empty"),
        ({"text": "a" * 200_001}, "texts.0.text", "200000 characters"),
        ({"text": "badly", "words": ["bad"]}, "texts.0.words.0", "not in the text"),
        ({"text": "a", "source": "guess"}, "words.source", "known: auto, manual"),
        ({"text": "a", "source": "manual"}, "texts.0.words", "has no words"),
        ({"texts": []}, "texts", "no text was given"),
        ({}, "body", "give a text"),
        ({"text": "a", "texts": [{"text": "b"}]}, "body", "give a text"),
        ({"text": "a", "colour": 1}, "colour", "not permitted"),
    ],
)
def test_what_cannot_be_run_is_refused(
    body: dict[str, Any], field: str, message: str, client: TestClient, made_up: MadeUp
) -> None:
    answer = post(client, "texts", **body)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field and message in error["message"]
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_an_attribution_that_is_not_there(client: TestClient) -> None:
    for path in (f"{BASE}/texts", f"{BASE}/words"):
        assert client.post(path, json={"text": "a", "words": {}}).status_code in {404, 422}
    assert client.post(f"{BASE}/texts", json={"text": "a"}).status_code == 404
    assert client.get(f"{BASE}/texts").status_code == 404


def test_other_words_of_the_same_texts(client: TestClient, made_up: MadeUp) -> None:
    answer = post(client, "words", words={"0": ["chair"]})
    assert answer.status_code == 202, answer.text
    spec = answer.json()["spec"]
    assert spec["texts"] == {"dataset": "reviews", "count": 2, "seed": 0, "words": [["chair"], ["bland"]]}
    assert spec["words"] == {"source": "manual"}
    untouched = {name: value for name, value in SPEC.items() if name not in ("texts", "words")}
    assert {name: spec[name] for name in untouched} == untouched


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ({"0": ["cha"]}, 422, "the word 'cha' is not in text 0"),
        ({"0": [], "1": []}, 422, "no word is marked"),
        ({"7": ["chair"]}, 404, "there is no example 7"),
    ],
)
def test_other_words_that_cannot_be(
    words: dict[str, list[str]], status: int, message: str, client: TestClient, made_up: MadeUp
) -> None:
    answer = post(client, "words", words=words)
    assert answer.status_code == status and message in answer.json()["detail"]


def test_words_of_a_given_text_without_its_prompt(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    document = client.get(f"{BASE}/texts").json()
    assert [text["words"] for text in document["texts"]] == [["badly", "damaged"], ["bland"]]
    first = document["texts"][0]
    marked = [first["text"][span["start"] : span["end"]] for span in first["spans"] if span["marked"]]
    assert marked == ["badly", "damaged"]
    assert document["own"]["prompt"] == "reviews" and document["own"]["source"] == "occlusion"
    assert document["others"] == []


def test_each_links_the_other(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    spec = post(client, "texts", text=TEXT).json()["spec"]
    stores.results.add("attribution", "b2" * 8, job=None, spec=spec, summary={})
    other = {**spec, "pruned": spec["pruned"][:1]}
    stores.results.add("attribution", "c3" * 8, job=None, spec=other, summary={})
    (found,) = client.get(f"{BASE}/texts").json()["others"]
    assert found["href"] == f"/attributions/{'b2' * 8}" and found["label"] == TEXT and found["own"]
    assert TEXT in client.get(PAGE, headers=BROWSER).text
    assert [record.id for record in stores.results.of_models(spec["dense"], spec["pruned"], 9)] == [
        "b2" * 8,
        ATTRIBUTION,
    ]


def test_a_form_without_script_leads_to_its_job(client: TestClient, made_up: MadeUp) -> None:
    form = {"text": "Bad.\r\n\r\nGood food", "label": "negative, positive", "source": "gradient"}
    answer = client.post(f"{PAGE}/texts?neuron=L1/N5", data=form, headers=BROWSER, follow_redirects=False)
    assert answer.status_code == 303
    (item,) = client.get("/api/v1/jobs").json()["items"]
    assert answer.headers["location"] == f"/jobs/{item['id']}?neuron=L1%2FN5"
    job = client.get(f"/api/v1/jobs/{item['id']}").json()
    assert [(text["text"], text["label"]) for text in job["spec"]["texts"]] == [
        ("Bad.", "negative"),
        ("Good food", "positive"),
    ]
    assert client.get(answer.headers["location"], headers=BROWSER).status_code == 200


def test_a_form_leads_to_what_is_known(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    form = {"text": TEXT, "source": "cot"}
    client.post(f"{PAGE}/texts", data=form, headers=BROWSER, follow_redirects=False)
    (job,) = client.get("/api/v1/jobs").json()["items"]
    taken = stores.jobs.claim(job["id"], "worker", 60)
    assert taken is not None and stores.jobs.succeed(taken.id, "worker", {"attribution": taken.artefact_id})
    page = f"{PAGE}/texts?neuron=L1/N5&variant=pruned-2"
    answer = client.post(page, data=form, headers=BROWSER, follow_redirects=False)
    neuron = f"/attributions/{taken.artefact_id}/neurons/1/5?variant=pruned-2"
    assert answer.headers["location"] == neuron
    assert neuron in client.get(f"/jobs/{taken.id}?neuron=L1/N5&variant=pruned-2").text
    followed = client.post(page, data=form, headers=SCRIPT)
    assert followed.status_code == 200 and followed.json()["then_href"] == neuron


def test_a_wrong_form_comes_back_with_what_was_typed(client: TestClient, made_up: MadeUp) -> None:
    answer = client.post(f"{PAGE}/texts", data={"text": "  ", "label": "<b>so</b>"}, headers=BROWSER)
    assert answer.status_code == 422
    assert "the text is empty" in answer.text and "&lt;b&gt;so&lt;/b&gt;" in answer.text
    scripted = client.post(f"{PAGE}/texts", data={"text": " "}, headers=SCRIPT)
    assert scripted.status_code == 422 and scripted.json()["errors"][0]["field"] == "texts.0.text"


def test_words_chosen_by_hand_are_asked_for_next(client: TestClient, made_up: MadeUp) -> None:
    page = client.post(f"{PAGE}/texts", data={"text": TEXT, "source": "manual"}, headers=BROWSER)
    assert page.status_code == 200 and "Choose the words" in page.text
    assert client.get("/api/v1/jobs").json()["items"] == []
    chosen = {"source": "manual", "one": TEXT, "one-label": "", "word.0": ["Not", "lit"], "more.0": "not bad, lit"}
    sent = client.post(f"{PAGE}/texts", data=chosen, headers=SCRIPT)
    assert sent.status_code == 202, sent.text
    assert sent.json()["spec"]["texts"][0]["words"] == ["Not", "lit", "not bad"]
    nothing = {"source": "manual", "one": TEXT, "one-label": ""}
    refused = client.post(f"{PAGE}/texts", data=nothing, headers=BROWSER)
    assert refused.status_code == 422 and "has no words" in refused.text


def test_clicked_words_are_sent_by_a_form(client: TestClient, made_up: MadeUp) -> None:
    sent = client.post(f"{PAGE}/words", data={"shown": ["0", "1"], "word.0": ["chair"]}, headers=SCRIPT)
    assert sent.json()["spec"]["texts"]["words"] == [["chair"], []]
    for shown, status in (("x", 422), ("9", 404), ("0" * 30, 422)):
        assert client.post(f"{PAGE}/words", data={"shown": [shown]}, headers=SCRIPT).status_code == status
    nothing = client.post(f"{PAGE}/words", data={"shown": ["0", "1"]}, headers=BROWSER)
    assert nothing.status_code == 422 and "no word is marked" in nothing.text


def test_only_a_form_of_our_own_is_read(client: TestClient, made_up: MadeUp) -> None:
    for headers, status in (
        ({}, 415),
        ({"sec-fetch-site": "none"}, 415),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ):
        answer = client.post(f"{PAGE}/texts", data={"text": TEXT}, headers=headers)
        assert answer.status_code == status, headers
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_a_bad_neuron_queues_nothing(client: TestClient, made_up: MadeUp) -> None:
    assert client.post(f"{BASE}/texts?neuron=x", json={"text": TEXT}).status_code == 422
    assert client.post(f"{PAGE}/texts?neuron=x", data={"text": TEXT}, headers=SCRIPT).status_code == 422
    assert "L15/N2194" in client.get(f"{PAGE}/texts?neuron=x").text
    assert client.get("/api/v1/jobs").json()["items"] == []


def test_a_shared_page_has_no_box(client: TestClient, made_up: MadeUp) -> None:
    for path in (PAGE, f"{PAGE}/neurons/1/5"):
        assert "Your own text" in client.get(path, headers=BROWSER).text
        url = client.post("/api/v1/shares", json={"path": path}).json()["url"]
        assert "Your own text" not in client.get(url, headers=BROWSER).text
    assert client.post("/api/v1/shares", json={"path": f"{PAGE}/texts"}).status_code == 422


def test_spans_are_words_and_marked_phrases() -> None:
    found = text_words(0, TEXT, ["not bad", "bad", "lit"])
    said = [(TEXT[span.start : span.end], span.word, span.marked) for span in found.spans]
    assert said == [
        ("Not bad", "not bad", True),
        ("not", "not", False),
        ("good", "good", False),
        ("Badly", "Badly", False),
        ("lit", "lit", True),
    ]
    assert found.covered == ["bad"]


def test_every_place_of_a_word_is_a_span_of_it() -> None:
    found = text_words(0, "Bad, so bad: BAD!", ["bad"])
    assert [span.word for span in found.spans if span.marked] == ["bad"] * 3
    unmarked = text_words(0, "Bad, so bad: BAD!", [])
    assert [span.word for span in unmarked.spans] == ["Bad", "so", "Bad", "Bad"]
