"""The histogram of placebo draws in an attribution's document and on its page."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from prunescope.nsa.significance import q_values
from prunescope.server.attributions.placebo import BINS, placebo_draws
from prunescope.server.site.formats import count
from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

DRAWS = 200


@pytest.fixture
def differences(stores: Stores, made_up: MadeUp) -> np.ndarray:
    """The stored attribution as one of the present format, with placebo draws."""
    opened = stores.attributions.get(ATTRIBUTION)
    store = opened.store
    found = np.random.default_rng(0).normal(0.05, 0.06, (1 + store.layers, DRAWS, 2)).astype(np.float32)
    found[0, 3] = np.nan
    store.tables["format"] = 3
    store.tables["summary"] |= {"placebo": DRAWS, "cross_fitted": True}
    for name in store.variants[1:]:
        store._small[f"placebo/{name}"] = found
        store.tables["comparisons"][name]["controls"]["p_activation_matched"] = 0.004
    store._small["sinks"] = np.zeros(store.tokens, dtype=bool)
    opened.__dict__.pop("summary", None)  # cached
    return found[0, :, 0]


def test_every_draw_is_in_one_bin(stores: Stores, differences: np.ndarray) -> None:
    tables = stores.attributions.get(ATTRIBUTION).tables
    controls = tables.controls()
    assert controls is not None
    found = placebo_draws(tables, tables.store.variants[1], controls)
    assert found is not None
    known = differences[np.isfinite(differences)]
    assert found.draws == DRAWS - 1 == sum(each.count for each in found.bins)
    assert len(found.bins) == BINS
    assert found.mean == pytest.approx(known.mean())
    for each in found.bins:
        assert each.count == ((known >= each.low) & (known < each.high)).sum()
    assert max(each.height for each in found.bins) == 100
    assert 90 < found.place < 100  # the observed 26 points are the largest value of all


def test_the_page_claims_by_p(client: TestClient, differences: np.ndarray) -> None:
    text = client.get(f"/attributions/{ATTRIBUTION}").text
    assert "beyond what random words of the texts give" in text
    assert "p = 0.004" in text
    assert "chosen on one half of the texts" in text
    rows = client.get(f"/api/v1/attributions/{ATTRIBUTION}").json()["controls"]
    assert rows[0]["placebo"]["draws"] == DRAWS - 1


@pytest.mark.parametrize(("ranked", "together"), [(50_000, 1), (50_001, 2), (352_256, 8)])
def test_the_smallest_p_says_when_a_single_neuron_can_be_significant(
    client: TestClient, stores: Stores, differences: np.ndarray, ranked: int, together: int
) -> None:
    opened = stores.attributions.get(ATTRIBUTION)
    opened.store.tables["summary"] |= {"least_p": 1e-6, "ranked": ranked}
    opened.__dict__.pop("summary", None)  # cached
    document = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7").json()
    assert (document["least_p"], document["significant_together"]) == (1e-6, together)
    q = np.ones(ranked)
    q[:together] = 1e-6
    assert (q_values(q)[0] <= 0.05) and (together == 1 or q_values(np.append(q[1:], 1))[0] > 0.05)
    text = client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7").text
    assert ("a single neuron cannot" in text) == (together > 1)
    assert together == 1 or f"among {count(ranked)} ranked neurons at least {together} must" in text


def test_drops_of_chosen_neurons_are_called_what_they_are(client: TestClient, differences: np.ndarray) -> None:
    for page in (f"/attributions/{ATTRIBUTION}", f"/attributions/{ATTRIBUTION}/neurons/1/7"):
        assert "regression to the mean" in client.get(page).text


def test_without_placebo_words_nothing_is_claimed(client: TestClient, made_up: MadeUp) -> None:
    text = client.get(f"/attributions/{ATTRIBUTION}").text
    assert "Without placebo words there is no p-value" in text
    assert "fell further than neurons of similar activation" not in text
    assert "This attribution is of an earlier version" in client.get(f"/attributions/{ATTRIBUTION}/neurons/1/7").text


def test_formats_1_and_2_have_other_names(stores: Stores, made_up: MadeUp) -> None:
    tables = stores.attributions.get(ATTRIBUTION).tables
    groups = tables.store.tables["comparisons"]["pruned-1"]["controls"]
    names = {"top": "matched", "activation_matched": "like", "over_activation_matched": "over_like"}
    new = tables.controls("pruned-1")
    tables.store.tables["comparisons"]["pruned-1"]["controls"] = {names.get(k, k): v for k, v in groups.items()}
    assert tables.controls("pruned-1") == new
