"""The label prior of an evaluation, beside the dense model's: document, pages, and the sentence about a shift."""

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import DENSE_EVALUATION, PRUNED, PRUNED_EVALUATION, add_evaluation, add_model

ROWS = 60


def scores(constant: float) -> list[list[float]]:
    """Of rows whose right answers are 0, 1, 0, 1, ...: a tenth of the rows are wrong by their content."""
    margins = [(-1.0 if i % 20 in (0, 3) else 1.0) * (1 if i % 2 else -1) * (1 + i / 100) for i in range(ROWS)]
    return [[0.0, margin + constant] for margin in margins]


def add(stores: Stores, id: str, model: str, constant: float) -> None:
    given = scores(constant)
    add_evaluation(stores, id, model, [int(no < yes) for no, yes in given], given)


@pytest.fixture
def shifted(stores: Stores) -> None:
    """A pruned model that knows as much as the dense one and says positive in every row."""
    add_model(stores, PRUNED)
    add(stores, DENSE_EVALUATION, "demo", 0.0)
    add(stores, PRUNED_EVALUATION, f"pruned:{PRUNED}", 9.0)


@pytest.mark.usefixtures("shifted")
def test_a_loss_that_is_a_shift_is_called_so(client: TestClient) -> None:
    (task,) = client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}").json()["tasks"]
    labels = task["labels"]
    assert labels["shares"] == [
        {"label": "negative", "said": 0.0, "right": 0.5, "dense": 0.5},
        {"label": "positive", "said": 1.0, "right": 0.5, "dense": 0.5},
    ]
    assert task["accuracy"] == 0.5 and task["difference"] == pytest.approx(-0.4)
    assert (labels["prior_shift"], labels["dense_prior_shift"]) == (0.5, 0.0)
    assert labels["adjusted_accuracy"] == labels["dense_adjusted_accuracy"] == 0.9
    assert labels["auc"] == labels["dense_auc"] and labels["auc_interval"][0] < labels["auc"]
    assert labels["auc_difference"] == 0 and labels["auc_difference_interval"] == [0, 0] and labels["auc_p"] == 1
    assert labels["content_difference"] == 0 and labels["prior_difference"] == pytest.approx(-0.4)
    assert labels["mostly_prior"] and labels["towards"] == "positive"
    assert client.get(f"/api/v1/evaluations/{PRUNED_EVALUATION}/reviews").json()["result"]["labels"] == labels
    sentence = "The loss of 40.0 points is mostly a shift towards “positive”, which this model says in 100.0 %"
    for page in (f"/evaluations/{PRUNED_EVALUATION}", f"/evaluations/{PRUNED_EVALUATION}/reviews"):
        text = client.get(page).text
        assert sentence in text.replace("−", "") and "the dense model in 50.0 %" in text and "0.0 points" in text, page


@pytest.mark.usefixtures("shifted")
def test_a_dense_model_and_a_list_have_nothing_to_compare(client: TestClient) -> None:
    (task,) = client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()["tasks"]
    labels = task["labels"]
    assert labels["dense_auc"] is None and labels["auc_difference"] is None and not labels["mostly_prior"]
    assert [share["dense"] for share in labels["shares"]] == [None, None]
    assert "mostly a shift" not in client.get(f"/evaluations/{DENSE_EVALUATION}").text
    assert all("labels" not in each["tasks"][0] for each in client.get("/api/v1/evaluations").json()["items"])


def test_a_task_without_fixed_labels_has_no_card(client: TestClient, stores: Stores) -> None:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0])
    assert client.get(f"/api/v1/evaluations/{DENSE_EVALUATION}").json()["tasks"][0]["labels"] is None
    assert "Label prior" not in client.get(f"/evaluations/{DENSE_EVALUATION}").text
