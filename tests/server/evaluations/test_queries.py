"""The most frequent answer says nothing where the right choice stands alike in all rows: it is not shown."""

import json

from sqlalchemy import delete
from starlette.testclient import TestClient

from prunescope.server.stores import Stores
from prunescope.store.evaluations.outcomes import EVALUATION_JSON
from prunescope.store.evaluations.packed import pack
from prunescope.store.evaluations.values import telling_majority
from prunescope.store.studies.facts import Findings
from prunescope.store.tables import measurements
from tests.server.conftest import DENSE_EVALUATION, add_evaluation


def test_a_share_of_one_is_no_majority() -> None:
    assert [telling_majority(share) for share in (None, 0.25, 0.99, 1.0)] == [None, 0.25, 0.99, None]


def test_an_evaluation_does_not_show_it(client: TestClient, stores: Stores) -> None:
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    record = stores.results.get("evaluation", DENSE_EVALUATION)

    def shown(majority: float) -> object:
        document = json.loads(stores.artefacts.read("evaluation", record.id, EVALUATION_JSON))
        document["tasks"]["reviews"]["majority"] = majority
        stores.results.add_evaluation(record.id, job=None, spec=record.spec, document=document)
        (task,) = client.get(f"/api/v1/evaluations/{record.id}").json()["tasks"]
        return task["majority"]

    assert (shown(0.5), shown(1.0)) == (0.5, None)


def test_a_studys_table_does_not_hold_it() -> None:
    numbers = [[0.8, 0.7, 0.9, 100, 0.25, 1.0], [0.8, 0.7, 0.9, 100, 0.5, 0.6]]
    packed = pack(dict(zip(("sciq", "sst2"), numbers, strict=True)))
    found = Findings([("e1", packed["tasks"], packed["numbers"])], [], ["sciq", "sst2"], {})
    majorities = [found.measurement("e1", task) for task in ("sciq", "sst2")]
    assert [each and each.majority for each in majorities] == [None, 0.6]


def test_an_evaluation_that_is_deleted_meanwhile_is_not_there(client: TestClient, stores: Stores) -> None:
    """Its record was read, its values were not there any more."""
    add_evaluation(stores, DENSE_EVALUATION, "demo", [0, 1, 0, 1])
    add_evaluation(stores, "e1" * 8, "demo", [0, 1, 1, 1])
    with stores.database.writing() as connection:
        connection.execute(delete(measurements).where(measurements.c.evaluation == DENSE_EVALUATION))
    assert [each["id"] for each in client.get("/api/v1/evaluations").json()["items"]] == ["e1" * 8]
    for address in (f"/evaluations/{DENSE_EVALUATION}", f"/evaluations/{DENSE_EVALUATION}/reviews"):
        assert client.get(address).status_code == client.get(f"/api/v1{address}").status_code == 404
