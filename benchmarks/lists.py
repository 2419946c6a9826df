"""How long lists take beside 10,000 attributions of 40 pruned models.

    python -m benchmarks.lists [--rounds 5] [--attributions 10000] [--output benchmarks/results/lists.json]

The records are made up, each with a folder that holds an empty artefact: a list opens none. The real application
answers in this process, as in `benchmarks/studies.py`. `first` is the first request after an attribution has come, when
names that begin alike are made anew, `later` the slowest of those that follow, `cpu` the processor's time for them.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from benchmarks.studies import timed
from benchmarks.tables import insert, table
from prunescope.jobs.references import PRUNED
from prunescope.jobs.settings import Settings
from prunescope.jobs.vocabulary import TASKS
from prunescope.server import urls
from prunescope.server.app import create_app, freeze_loaded_objects
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import add_record
from prunescope.store.attributions.summary import ListedAttribution

LIMIT_MS = 100
"""What a list of attributions may take."""
MODELS = 40
AT_ONCE = 500
NAMES = (*TASKS,)
SOURCES = ("manual", "cot", "occlusion", "gradient")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def addresses(stores: Stores) -> Iterator[str]:
    """The lists that have attributions, and the page of the model that all of them name."""
    _, middle = stores.results.list("attribution", limit=200)
    for page in (urls.attributions(), urls.attributions(cursor=middle)):
        yield from (page, urls.api(page))
    yield urls.api(urls.attributions(limit=200))
    for page in (urls.home(), urls.models(), urls.model("demo")):
        yield from (page, urls.api(page))


def model_id(number: int) -> str:
    return f"{number:016x}"


def make_up_models(stores: Stores) -> None:
    """40 pruned models."""
    with stores.database.exclusive() as connection:
        for number in range(MODELS):
            spec = {
                "model": "demo",
                "method": {"name": "wanda"},
                "pattern": {"kind": "unstructured", "sparsity": round(0.3 + 0.01 * number, 2)},
                "calibration": {"dataset": "c4", "samples": 128, "seqlen": 2048, "seed": 0},
            }
            summary = {"label": "wanda", "sparsity": 0.5}
            moment = BEGAN + timedelta(seconds=number)
            add_record(connection, "model", model_id(number), moment, job=None, spec=spec, summary=summary, used=[])


def make_up_attributions(stores: Stores, numbers: range) -> None:
    """One for each of these numbers, no two alike."""
    with stores.database.exclusive() as connection:
        for number in numbers:
            name, pruned = f"{number:016x}", f"{PRUNED}{model_id(number % MODELS)}"
            spec = {
                "dense": "demo",
                "pruned": [pruned],
                "texts": {"dataset": NAMES[number % len(NAMES)], "count": 10, "seed": number},
                "words": {"source": SOURCES[number % len(SOURCES)]},
                "activation": "relu",
                "permutations": 1000,
                "seed": 0,
            }
            listed = ListedAttribution(
                variants=["dense", "pruned-1"],
                models=["demo", pruned],
                labels=["demo", "wanda"],
                examples=10,
                recorded_layers=[*range(32)],
                neurons=11008,
                words=["badly", "dust", "average", "damaged", "crappy", "bland"],
            )
            folder = stores.artefacts.local_path("attribution", name)
            assert folder is not None
            folder.mkdir(parents=True)
            (folder / "zarr.json").write_text("{}")
            moment = BEGAN + timedelta(days=1, seconds=number)
            summary = listed.model_dump()
            add_record(connection, "attribution", name, moment, job=None, spec=spec, summary=summary, used=[])


def measure(rounds: int, attributions: int) -> list[dict[str, object]]:
    """Milliseconds and kilobytes of each address."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(home=Path(folder), redis_url=f"unix://{folder}/nobody.sock"))
        freeze_loaded_objects()
        with TestClient(app, base_url="http://localhost") as client:
            stores: Stores = app.state.stores
            make_up_models(stores)
            for start in range(0, attributions, AT_ONCE):  # a sweep waits a few seconds for its turn
                make_up_attributions(stores, range(start, min(start + AT_ONCE, attributions)))
            asked = [*addresses(stores)]
            for address in asked:  # templates are compiled, modules imported, specs read
                client.get(address)
            found = []
            for number, address in enumerate(asked, start=attributions):
                make_up_attributions(stores, range(number, number + 1))
                found.append(timed(client, address, rounds))
            return found


def markdown(document: Mapping[str, Any]) -> str:
    """Everything that was measured, as a table."""
    head = ("address", "first ms", "later ms", "first, cpu", "later, cpu", "kB")
    found = document["addresses"]
    slow = [each for each in found if max(each["first_ms"], each["later_ms"]) > LIMIT_MS]
    return "\n\n".join(
        (
            f"`{document['command']}` on {document['machine']}.",
            table(head, [[str(value) for value in each.values()] for each in found]),
            f"{len(slow)} of {len(found)} addresses took more than {LIMIT_MS} ms.",
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--attributions", type=int, default=10_000)
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the table")
    given = parser.parse_args(arguments)
    found = measure(given.rounds, given.attributions)
    import torch  # not before: a server has none

    from benchmarks.machine import described, machine

    facts = machine(torch.device("cpu"))
    document = {
        "benchmark": "lists",
        "command": f"python -m benchmarks.lists --rounds {given.rounds} --attributions {given.attributions}",
        "machine": facts,
        "rounds": given.rounds,
        "attributions": given.attributions,
        "addresses": found,
    }
    lines = markdown({**document, "machine": described(facts)})
    print(lines)
    if given.document is not None:
        insert(given.document, "lists cpu", lines)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
