"""The home page and its document."""

import re

from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from tests.server.conftest import ATTRIBUTION
from tests.server.jobs.test_routes import EVALUATE, submit
from tests.server.made_up import MadeUp


def test_home_shows_what_waits_and_where_to_start(client: TestClient) -> None:
    submit(client, EVALUATE)
    home = client.get("/api/v1/").json()
    assert home["counts"]["queued"] == 1
    assert [job["kind"] for job in home["running"]] == ["evaluate"]
    assert home["start"][0]["href"] == "/jobs/new?kind=prune"
    assert client.get("/api/v1").json() == home
    assert home["most_damaged"] is None


def test_home_leads_with_the_neuron_that_lost_most(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    found = client.get("/api/v1/").json()["most_damaged"]
    row = stores.attributions.get(ATTRIBUTION).tables.damaged(limit=1)[0]
    assert found["href"] == f"/attributions/{ATTRIBUTION}/neurons/{row.layer}/{row.neuron}"
    assert (found["word"], found["drop"]) == (row.word, row.drop)
    page = client.get("/").text
    assert found["name"] in page and "Dense" in page and "Pruned" in page
    shown = re.search(r'<div class="text">(.*?)</div>', page, re.DOTALL)
    assert shown is not None
    assert found["word"] in re.sub(r"<[^>]+>", "", shown[1])


def test_a_damaged_attribution_does_not_lead(client: TestClient, stores: Stores, made_up: MadeUp) -> None:
    folder = stores.artefacts.local_path("attribution", ATTRIBUTION)
    assert folder is not None
    for array in folder.glob("drop/**/c/**/*"):
        if array.is_file():
            array.write_bytes(b"")
    (folder / "zarr.json").write_bytes(b"{")
    assert client.get("/api/v1/").json()["most_damaged"] is None
    assert client.get("/").status_code == 200
