"""The card of a neuron's spread: its bars are the counts that the document holds."""

import re
from math import log1p

import pytest
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

PAGE = f"/attributions/{ATTRIBUTION}/neurons/1/7"


@pytest.mark.parametrize("variant", ["pruned-1", "pruned-2"])
def test_bars_and_numbers_are_those_of_the_document(client: TestClient, made_up: MadeUp, variant: str) -> None:
    document = client.get(f"/api/v1{PAGE}").json()
    page = client.get(f"{PAGE}?variant={variant}").text
    bars = re.findall(
        r'<rect class="(dense|pruned)" x="([\d.]+)%" y="([\d.]+)%" width="([\d.]+)%" height="([\d.]+)%"', page
    )
    drawn = {
        side: [(float(x), float(height)) for name, x, _, _, height in bars if name == side]
        for side in ("dense", "pruned")
    }
    for side, name in (("dense", "dense"), ("pruned", variant)):
        counts = document["spread"][name]["histogram"]
        assert len(counts) == len(drawn[side]) == 16
        assert [height for _, height in drawn[side]] == pytest.approx(
            [100 * log1p(count) / log1p(max(counts)) for count in counts], abs=0.01
        )
        assert [x for x, _ in drawn[side]] == sorted(x for x, _ in drawn[side])
        mean = f"{abs(document['spread'][name]['mean']):.4f}"
        assert mean in page
    assert all(float(y) + float(height) == pytest.approx(100, abs=0.02) for _, _, y, _, height in bars)
    assert all(float(x) + float(width) <= 100 for _, x, _, width, _ in bars)
    zero = re.search(r'<line x1="([\d.]+)%"', page)
    spread = document["spread"]["dense"]
    assert zero is not None
    assert float(zero[1]) / 100 == pytest.approx(-spread["minimum"] / (spread["maximum"] - spread["minimum"]), abs=1e-3)


def test_an_attribution_of_the_first_format_says_that_it_has_none(
    client: TestClient, stores: Stores, made_up: MadeUp
) -> None:
    stores.attributions.get(ATTRIBUTION).store.tables["format"] = 1
    page = client.get(PAGE).text
    assert "was not recorded" in page and '<rect class="dense"' not in page
