"""Two attributions side by side, and which can be."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import LAYERS, NEURONS, SPEC, MadeUp, write_made_up

OTHER = "b2" * 8
BASE = f"/api/v1/attributions/{ATTRIBUTION}/compare"
PAGE = {"accept": "text/html"}


def add(stores: Stores, id: str, *, neurons: int = NEURONS, seed: int = 1, **spec: Any) -> MadeUp:
    folder = stores.artefacts.local_path("attribution", id)
    assert folder is not None
    made = write_made_up(folder, neurons=neurons, seed=seed, spec=spec)
    stores.results.add("attribution", id, job=None, spec={**SPEC, **spec}, summary={})
    return made


@pytest.fixture
def other(stores: Stores, made_up: MadeUp) -> MadeUp:
    """The same model on other texts."""
    return add(stores, OTHER, texts={"dataset": "sst2", "count": 2, "seed": 7}, words={"source": "cot"}, seed=1)


def top(own: MadeUp, other: MadeUp, layer: int, k: int) -> set[int]:
    ranked = np.isfinite(own.arrays["score"][layer]) & np.isfinite(other.arrays["score"][layer])
    order = sorted(np.flatnonzero(ranked), key=lambda neuron: (-own.arrays["score"][layer, neuron], neuron))
    return {int(neuron) for neuron in order[:k] if own.arrays["score"][layer, neuron] > 0}


def test_overlaps_are_those_of_plain_sets(client: TestClient, made_up: MadeUp, other: MadeUp) -> None:
    document = client.get(f"{BASE}/{OTHER}?top=12").json()
    assert (document["top"], document["layers"]) == ("12", list(range(LAYERS)))
    assert document["population"] == LAYERS * NEURONS - 1
    shared = []
    for layer, row in enumerate(document["layer_list"]):
        first, second = top(made_up, other, layer, 12), top(other, made_up, layer, 12)
        found, size = row["overlap"], NEURONS - (layer == 1)
        wanted = stats.hypergeom(size, len(first), len(second))
        assert (row["layer"], found["population"], found["shared"]) == (layer, size, len(first & second))
        assert found["expected"] == pytest.approx(wanted.mean())
        assert found["p"] == pytest.approx(wanted.sf(len(first & second) - 1))
        assert found["low"] <= found["expected"] <= found["high"]
        assert row["first_href"] == f"/attributions/{ATTRIBUTION}/layers/{layer}"
        both = np.isfinite(made_up.arrays["score"][layer]) & np.isfinite(other.arrays["score"][layer])
        rho = stats.spearmanr(made_up.arrays["score"][layer][both], other.arrays["score"][layer][both]).statistic
        assert row["correlation"]["value"] == pytest.approx(rho)
        shared += [(layer, neuron) for neuron in first & second]
    assert document["together"]["shared"] == len(shared) == len(document["shared_neurons"])
    for row in document["shared_neurons"]:
        place = row["layer"], row["neuron"]
        assert place in shared
        for own, made, id in (("first", made_up, ATTRIBUTION), ("second", other, OTHER)):
            assert row[own]["score"] == float(made.arrays["score"][place])
            assert row[own]["href"] == f"/attributions/{id}/neurons/{place[0]}/{place[1]}"
    ranks = [row["first"]["rank"] + row["second"]["rank"] for row in document["shared_neurons"]]
    assert ranks == pytest.approx(sorted(ranks), abs=2)  # ranks count the neuron that only one of them ranks


def test_what_differs_stands_side_by_side(client: TestClient, other: MadeUp) -> None:
    document = client.get(f"{BASE}/{OTHER}").json()
    differing = {row["name"]: (row["first"], row["second"]) for row in document["settings"] if row["differs"]}
    assert differing == {
        "Texts": ("2 of reviews, seed 0", "2 of sst2, seed 7"),
        "Influential words": ("chosen by hand", "named by the model"),
    }
    assert (document["texts_in_both"], document["words_in_both"]) == (2, ["badly", "bland", "damaged"])
    assert document["turned_href"] == f"/attributions/{OTHER}/compare/{ATTRIBUTION}"
    turned = client.get(f"/api/v1{document['turned_href']}").json()
    for one, two in zip(document["over_all"], turned["over_all"], strict=True):
        assert one["anywhere"]["shared"] == two["anywhere"]["shared"]
        assert one["in_layers"]["p"] == pytest.approx(two["in_layers"]["p"])
    sizes = [row["anywhere"]["first"] for row in document["over_all"]]
    assert sizes == sorted(sizes) and {"10", "50", "1%", "5%"} <= {row["top"] for row in document["over_all"]}


def test_the_same_run_again_shares_everything(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add(stores, OTHER, seed=0)
    document = client.get(f"{BASE}/{OTHER}").json()
    assert document["correlation"]["value"] == 1
    assert document["together"]["shared"] == document["together"]["first"]
    assert not any(row["differs"] for row in document["settings"])


def test_only_layers_that_both_recorded_are_compared(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add(stores, OTHER, layers=[0, 2])
    document = client.get(f"{BASE}/{OTHER}").json()
    assert document["layers"] == [0, 2] == [row["layer"] for row in document["layer_list"]]
    assert {row["name"] for row in document["settings"] if row["differs"]} == {"Layers"}


def test_what_can_be_compared(client: TestClient, stores: Stores, made_up: MadeUp, other: MadeUp) -> None:
    add(stores, "c3" * 8, dense="facebook/opt-125m")
    add(stores, "d4" * 8, neurons=20)
    add(stores, "e5" * 8, seed=3, permutations=10)
    stores.results.add("attribution", "f6" * 8, job=None, spec=SPEC, summary={})  # its folder is gone
    document = client.get(BASE).json()
    assert document["attribution"]["href"] == f"/attributions/{ATTRIBUTION}"
    assert document["attribution"]["label"].startswith("reviews · demo · ")
    labels = [document["attribution"]["label"], *(item["label"] for item in document["items"])]
    assert len({*labels}) == len(labels), labels
    assert {item["id"]: item["differs"] for item in document["items"]} == {
        OTHER: ["Texts", "Influential words"],
        "e5" * 8: ["Permutations"],
    }
    assert all(item["created_at"] for item in document["items"])
    assert client.get(f"/api/v1{document['items'][0]['comparison_href']}").status_code == 200
    assert client.get(f"/api/v1/attributions/{'9' * 16}/compare").status_code == 404


@pytest.mark.parametrize(
    ("spec", "neurons", "said"),
    [
        ({"dense": "facebook/opt-125m"}, NEURONS, "the first is of demo, the second of facebook/opt-125m"),
        ({}, 20, "3 layers of 40 neurons and 3 layers of 20 neurons"),
        ({"layers": [2]}, NEURONS, "no layer in common: 0, 1 and 2"),
    ],
)
@pytest.mark.parametrize("place", ["/api/v1", ""])
def test_what_cannot_be_compared_is_refused(
    client: TestClient, stores: Stores, made_up: MadeUp, spec: dict[str, Any], neurons: int, said: str, place: str
) -> None:
    add(stores, OTHER, neurons=neurons, **{"layers": [0, 1], **spec})
    third = "c3" * 8
    add(stores, third, layers=[0, 1])
    answer = client.get(f"{place}/attributions/{third}/compare/{OTHER}", headers=PAGE)
    assert answer.status_code == 422
    assert said in answer.text and "These two cannot be compared" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"{BASE}/{ATTRIBUTION}", 422, "shares all of its neurons with itself"),
        (f"{BASE}/{'9' * 16}", 404, "there is no attribution"),
        (f"{BASE}/{OTHER}?top=many", 422, "'many' is no number of neurons such as 50"),
        (f"{BASE}/{OTHER}?top=0", 422, "such as 5%"),
    ],
)
def test_what_is_not_there_is_a_problem(client: TestClient, other: MadeUp, path: str, status: int, said: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.text


def test_attributions_without_a_neuron_in_common(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    add(stores, OTHER, layers=[1])
    opened = stores.attributions.get(OTHER)
    opened.store.score[:] = np.nan
    answer = client.get(f"{BASE}/{OTHER}")
    assert answer.status_code == 422 and "no neuron is ranked in both" in answer.text
