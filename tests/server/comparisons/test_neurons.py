"""A neuron beside another one, and the neurons of its layer that are active at the same tokens."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.comparisons.neurons import MAX_COACTIVE, correlations
from prunescope.server.stores import Stores
from tests.server.comparisons.test_routes import OTHER, add
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import NEURONS, MadeUp

PATH = f"/attributions/{ATTRIBUTION}/neurons/1/5/beside"
BASE = f"/api/v1{PATH}"
PAGE = {"accept": "text/html"}

pytestmark = pytest.mark.usefixtures("made_up")


def test_correlations_are_numpys_and_undefined_for_constant_rows() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 30)).astype(np.float32)
    values[7] = 2.5
    found = correlations(values, values[3])
    rows = [row for row in range(20) if row != 7]
    expected = [np.corrcoef(values[row], values[3])[0, 1] for row in rows]
    np.testing.assert_allclose(found[rows], expected, atol=1e-6)
    assert np.isnan(found[7])
    assert np.isnan(correlations(values, values[7])).all()


def test_the_co_active_neurons_are_those_of_the_stored_activations(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    document = client.get(BASE).json()
    opened = stores.attributions.get(ATTRIBUTION)
    special = np.concatenate([text.special for text in opened.examples])
    sinks = np.concatenate([text.sinks for text in opened.examples])
    counted = ~(np.asarray(special, bool) | np.asarray(sinks, bool))
    dense = opened.store.layer(1, range(NEURONS))["dense"][:, counted]
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(dense)[5], nan=-2)
    expected[5] = -2
    best = np.argsort(-expected, kind="stable")[:MAX_COACTIVE]
    assert document["tokens"] == counted.sum()
    np.testing.assert_allclose([row["correlation"] for row in document["coactive"]], expected[best], atol=1e-5)
    assert 5 not in {row["neuron"] for row in document["coactive"]}
    first = document["coactive"][0]
    pair = client.get(first["beside_href"].replace("/attributions", "/api/v1/attributions", 1)).json()
    assert pair["second"]["name"] == first["name"]
    assert pair["correlation"] == pytest.approx(first["correlation"], abs=1e-6)


def test_a_neuron_of_another_layer_and_of_another_attribution(client: TestClient, stores: Stores) -> None:
    add(stores, OTHER, texts={"dataset": "sst2", "count": 2, "seed": 7})
    pair = client.get(BASE, params={"other": "2.3"}).json()
    assert (pair["first"]["name"], pair["second"]["name"]) == ("L1/N5", "L2/N3")
    assert -1 <= pair["correlation"] <= 1
    other = client.get(BASE, params={"other": "L1/N5", "of": OTHER}).json()
    assert other["correlation"] is None and OTHER in other["second"]["href"]
    page = client.get(PATH, params={"other": "L1/N5", "of": OTHER}, headers=PAGE).text
    assert "They are of different attributions" in page
    assert f'<option value="{OTHER}" selected>' in page


def test_it_begins_at_the_text_in_which_the_neuron_fell_most(client: TestClient, stores: Stores) -> None:
    opened = stores.attributions.get(ATTRIBUTION)

    def falls(neuron: int) -> list[tuple[float, int]]:
        values = opened.store.neuron(1, neuron)
        return [
            (float(values["dense"][span][place] - values["pruned-1"][span][place]), text.index)
            for span, text in zip(opened.store.spans, opened.examples, strict=True)
            for place, on in enumerate(text.influential)
            if on
        ]

    neuron, most = next(
        (neuron, most)
        for neuron in range(NEURONS)
        if (most := max(falls(neuron)))[0] > 0 and most[1] != opened.examples[0].index
    )
    here = PATH.replace("/5/", f"/{neuron}/")
    assert here != PATH or neuron == 5
    base = BASE.replace(PATH, here)
    pair = client.get(base, params={"other": "2.3", "variant": "pruned-1"}).json()
    assert pair["first"]["example"] == pair["second"]["example"] == most[1]
    other = next(text.index for text in opened.examples if text.index != most[1])
    chosen = client.get(base, params={"other": "2.3", "example": other}).json()
    assert chosen["first"]["example"] == chosen["second"]["example"] == other
    page = client.get(here, params={"variant": "pruned-1"}, headers=PAGE).text
    assert f'<option value="{most[1]}" selected>' in page and 'name="variant" value="pruned-1"' in page


@pytest.mark.parametrize(
    ("query", "field"),
    [({"other": "colour"}, "other"), ({"other": "1.999999"}, "other"), ({"other": "1.2", "of": "none"}, "of")],
)
def test_a_wrong_value_is_named(client: TestClient, query: dict[str, str], field: str) -> None:
    answer = client.get(BASE, params=query)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field
    page = client.get(PATH, params=query, headers=PAGE)
    assert page.status_code == 200 and f"{field}: " in page.text
    assert client.get(BASE.replace("/5/", "/999999/")).status_code == 404
