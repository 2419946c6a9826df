"""The panel and the document that say whether an attribution's top neurons matter for a task."""

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.made_up_causal import DRAWS, ROWS, causal_table, outcomes
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

PAGE = f"/attributions/{ATTRIBUTION}"
BASE = f"/api/v1{PAGE}"
FOUND = {
    "dense": outcomes(0.9, 0.7, 0.88),
    "pruned-1": outcomes(0.8, 0.9, 0.81, seed=1),
    "pruned-2": outcomes(0.6, 0.6, 0.6, seed=2),
}


def keep(stores: Stores, table: dict[str, object]) -> None:
    stores.attributions.get(ATTRIBUTION).store.tables["causal"] = table


def panel(client: TestClient, variant: str = "pruned-1") -> str:
    page = client.get(f"{PAGE}?variant={variant}").text
    return re.sub(
        r"<[^>]+>", " ", page[page.index('id="causal"') : page.index("</section>", page.index('id="causal"'))]
    )


def panel_of(client: TestClient, stores: Stores, table: dict[str, object]) -> str:
    keep(stores, table)
    return panel(client)


def test_an_attribution_that_was_not_asked_has_no_panel(client: TestClient, made_up: MadeUp) -> None:
    assert client.get(BASE).json()["causal"] is None
    assert 'id="causal"' not in client.get(PAGE).text


def test_the_document_holds_each_variants_effects(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    keep(stores, causal_table(FOUND))
    document = client.get(BASE).json()["causal"]
    assert (document["task"], document["rows"], document["draws"], document["neurons"]) == ("reviews", ROWS, DRAWS, 10)
    assert [row["name"] for row in document["variants"]] == ["dense", "pruned-1", "pruned-2"]
    assert [row["intervention"] for row in document["variants"]] == ["ablation", "restoration", "restoration"]
    assert [row["label"] for row in document["variants"]] == ["demo", "wanda · c4 8x64 · 0.5", "magnitude · 0.5"]
    for row in document["variants"]:
        means = FOUND[row["name"]].mean(2, dtype=np.float64)
        for place, kind in enumerate(("accuracy", "probability")):
            assert row[kind]["base"]["value"] == pytest.approx(means[0, place])
            wanted = means[1, place] - means[2:, place].mean()
            assert row[kind]["excess"]["value"] == pytest.approx(wanted)
            assert len(row[kind]["draws"]) == DRAWS


def test_the_panel_tells_of_the_dense_model_and_the_chosen_variant(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    keep(stores, causal_table(FOUND))
    text = panel(client)
    assert "reviews, 200 rows that the neurons were not chosen on" in text
    assert "10 top neurons (4 in layer 0, 6 in layer 2) against 20 draws" in text
    assert "demo, neurons held at their mean" in text and "wanda · c4 8x64 · 0.5, dense weights restored" in text
    assert "magnitude" not in text and "magnitude · 0.5, dense weights restored" in panel(client, "pruned-2")
    top = 100 * FOUND["dense"][1, 0].mean()
    assert f"{top:.1f}" in text
    assert "they matter for it" in text and "0 of 20 draws cost as much accuracy or more, p = 0.048" in text
    assert "bring back more accuracy than those of random ones" in text
    assert "draws p cannot" not in text and "too long" not in text


@pytest.mark.parametrize(
    ("dense", "pruned", "said"),
    [
        ((0.9, 0.9, 0.7), (0.8, 0.5, 0.8), ("does not clearly lose more", "do not clearly bring back")),
        ((0.9, 0.899, 0.9), (0.8, 0.801, 0.8), ("does not clearly lose more", "do not clearly bring back")),
    ],
)
def test_what_does_not_support_the_claim_is_said_as_plainly(
    client: TestClient,
    stores: Stores,
    made_up: MadeUp,
    dense: tuple[float, float, float],
    pruned: tuple[float, float, float],
    said: tuple[str, str],
) -> None:
    keep(stores, causal_table({**FOUND, "dense": outcomes(*dense), "pruned-1": outcomes(*pruned)}))
    text = panel(client)
    assert all(each in text for each in said)
    assert "they matter for it" not in text


def test_rows_that_all_say_the_same_are_no_evidence(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    same = np.tile(outcomes(0.8, 0.8, 0.8)[:1], (2 + DRAWS, 1, 1))
    keep(stores, causal_table(dict.fromkeys(FOUND, same)))
    text = panel(client)
    assert "nothing can be told apart" in text and "no row changed" in text


def test_few_draws_and_cut_prompts_are_said(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    few = {name: found[:6] for name, found in FOUND.items()}
    keep(stores, causal_table(few, draws=4, truncated=3))
    text = panel(client)
    assert "With 4 draws p cannot be below 0.20" in text
    assert "3 rows lost the beginning of a prompt that was too long" in text


def test_an_earlier_versions_p_is_said_to_be_too_small(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    table = causal_table(FOUND)
    assert "earlier version" not in panel_of(client, stores, table)
    assert "draws of as many ranked ones of the same layers" in panel_of(client, stores, table)
    del table["alike"]
    text = panel_of(client, stores, table)
    assert "made by an earlier version" in text and "Its p is too small" in text
    assert "draws of as many others of the same layers" in text
    assert "they matter for it" not in text and "bring back" not in text


def test_drawings_stay_within_their_width(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    keep(stores, causal_table(FOUND))
    page = client.get(PAGE).text
    drawn = page[page.index('id="causal"') :]
    places = [float(place) for place in re.findall(r'(?:x1|x2|cx)="(-?[\d.]+)%"', drawn[: drawn.index("</section>")])]
    assert len(places) > 40 and min(places) >= 0 and max(places) <= 100
