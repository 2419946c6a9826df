"""Names of records: when some are computed again, the result is that of computing all of them together."""

import random
from typing import Any

import pytest

from prunescope.store.artefacts.names import RecordNames
from prunescope.store.submission import Stores

TASKS = ("sst2", "rte", "boolq")


def attribution(draw: random.Random, models: list[str]) -> dict[str, Any]:
    return {
        "dense": "demo",
        "pruned": [f"pruned:{draw.choice(models)}"],
        "texts": {"dataset": draw.choice(TASKS), "count": draw.choice([2, 5]), "seed": draw.randrange(3)},
        "words": {"source": draw.choice(["manual", "gradient"])},
    }


@pytest.mark.parametrize("seed", range(3))
def test_they_do_not_depend_on_what_was_named_before(stores: Stores, seed: int) -> None:
    draw = random.Random(seed)
    kept = RecordNames(stores.results, stores.settings)
    models = [f"{number:016x}" for number in range(3)]
    there: list[str] = []
    for step in range(25):
        if there and draw.random() < 0.3:
            name = there.pop(draw.randrange(len(there)))
            with stores.artefacts.staging("attribution", name):
                pass
            stores.results.delete("attribution", name)
        elif draw.random() < 0.2:
            made = draw.choice(models)
            spec = {"model": ["demo", "other"][int(made) % 2], "method": {"name": "wanda"}, "pattern": "0.5"}
            stores.results.add("model", made, job=None, spec=spec, summary={"label": "wanda"})
        else:
            there.append(f"{draw.getrandbits(64):016x}")
            spec = attribution(draw, models)
            stores.results.add("attribution", there[-1], job=None, spec=spec, summary={})
        names = kept.attributions()
        assert names == RecordNames(stores.results, stores.settings).attributions(), step
        assert names.keys() == {*there} and len({*names.values()}) == len(there)


def test_a_name_with_its_facts_may_be_the_whole_name_of_another(stores: Stores) -> None:
    """Studies have the names that people give them."""
    for number, (name, methods) in enumerate(
        [("one", ["wanda"]), ("one", ["ria"]), ("one · wanda", ["wanda"]), ("one · ria", ["ria"])]
    ):
        spec = {"name": name, "models": ["demo"], "methods": methods, "patterns": ["0.5"], "tasks": ["sst2"]}
        stores.results.add("study", f"{number:016x}", job=None, spec=spec, summary={"name": name})
    names = RecordNames(stores.results, stores.settings).studies()
    assert len({*names.values()}) == 4, names
