"""Measures request times with a large study: 3 methods x 9 calibration sets x 14 models x 24 tasks x 2 sparsities.

    python -m benchmarks.studies [--rounds 5] [--models 14] [--browser] [--output benchmarks/results/studies.json]

The study is generated (`tests/store/studies/made_up_study.py`) in its own database, and the real application answers in
this process, so the times are the server's, without the network. `first` is the first request after a change in the
database, `later` the slowest of the following ones, `cpu` their processor time, for a shared machine. Neither Redis nor
a GPU is needed. `--browser` opens the study's page in Chromium besides (`benchmarks/first_paint.py`).
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from benchmarks.first_paint import first_paints, summary
from benchmarks.tables import insert, table
from prunescope.jobs.settings import Settings
from prunescope.server import urls
from prunescope.server.app import create_app, freeze_loaded_objects
from prunescope.server.stores import Stores
from prunescope.store.evaluations.queries import count_change
from tests.store.studies.made_up_study import MadeUpStudy, make_up_study

LIMIT_MS = 300
"""The limit for every request, in milliseconds."""


def addresses(stores: Stores, study: str) -> Iterator[str]:
    """The addresses of all pages and documents that show the study."""
    job = stores.results.get("study", study).job
    assert job is not None
    evaluation = stores.results.list("evaluation", limit=1)[0][0]
    views: tuple[dict[str, urls.State], ...] = (
        {},
        {"rows": "model", "columns": "calibration"},
        {"rows": "task", "columns": "model", "show": "difference"},
        {"rows": "model", "columns": "task", "pattern": "0.5", "method": "wanda", "calibration": "c4"},
    )
    pages = [
        *(urls.with_state(urls.study(study), **view) for view in views),
        urls.studies(),
        urls.home(),
        urls.jobs(limit=200),
        urls.job(job),
        urls.models(),
        urls.model("made/opt-1"),
        urls.evaluations(),
        urls.evaluation(evaluation.id),
        urls.search(q="wanda"),
        urls.new_job(kind="study"),
    ]
    yield from pages
    yield from (urls.api(page) for page in pages[:-1])
    yield urls.study_jobs(study, limit=200, cursor="200")
    yield urls.api(urls.models(limit=200))
    yield urls.api(urls.evaluations(limit=200))


def measure(rounds: int, size: MadeUpStudy) -> list[dict[str, object]]:
    """Milliseconds and kilobytes of each address."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(home=Path(folder), redis_url=f"unix://{folder}/nobody.sock"))
        freeze_loaded_objects()
        with TestClient(app, base_url="http://localhost") as client:
            stores: Stores = app.state.stores
            study = make_up_study(stores, size)
            asked = [*addresses(stores, study)]
            for address in asked:  # warm-up: compiles templates, imports modules
                client.get(address)
            found = []
            for address in asked:
                with stores.database.writing() as connection:
                    count_change(connection)
                found.append(timed(client, address, rounds))
            return found


def timed(client: TestClient, address: str, rounds: int) -> dict[str, object]:
    """Milliseconds and kilobytes of one address, which is asked for once more than there are rounds."""
    took, worked = [], []
    for _ in range(1 + rounds):
        began, busy = time.perf_counter(), time.process_time()
        answer = client.get(address)
        took.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.process_time() - busy))
        assert answer.status_code == 200, (address, answer.status_code)
    return {
        "address": re.sub("[0-9a-f]{32}|[0-9a-f]{16}", "{id}", address),
        "first_ms": round(took[0], 1),
        "later_ms": round(max(took[1:]), 1),
        "first_cpu_ms": round(worked[0], 1),
        "later_cpu_ms": round(max(worked[1:]), 1),
        "kilobytes": round(len(answer.content) / 1000),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """Everything that was measured, as tables."""
    head = ("address", "first ms", "later ms", "first, cpu", "later, cpu", "kB")
    found = document["addresses"]
    slow = [each for each in found if max(each["first_ms"], each["later_ms"]) > LIMIT_MS]
    parts = [
        f"`{document['command']}` on {document['machine']}.",
        table(head, [[str(value) for value in each.values()] for each in found]),
        f"{len(slow)} of {len(found)} addresses took more than {LIMIT_MS} ms.",
    ]
    if paint := document["browser"]:
        verdict = "met" if paint["met"] else "**missed**"
        parts.append(
            f"In Chromium with an empty cache, the median of {len(paint['rounds']['first_paint_ms'])} rounds: first "
            f"contentful paint of the study's page after {paint['first_paint_ms']:.0f} ms (budget: below "
            f"{paint['budget_ms']} ms, {verdict}), the response's first byte after {paint['response_ms']:.0f} ms, all "
            f"loaded after {paint['loaded_ms']:.0f} ms."
        )
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=int, default=14)
    parser.add_argument("--browser", action="store_true", help="the first paint of the study's page in Chromium too")
    parser.add_argument("--output", type=Path, help="the results as JSON")
    parser.add_argument("--document", type=Path, help="a Markdown file with marks for the tables")
    given = parser.parse_args(arguments)
    size = MadeUpStudy(models=given.models)
    paint = summary(first_paints(given.rounds, size)) if given.browser else None
    found = measure(given.rounds, size)
    import torch  # imported late, because the server does not use it

    from benchmarks.machine import described, machine

    facts = machine(torch.device("cpu"))
    more = " --browser" if given.browser else ""
    document = {
        "benchmark": "studies",
        "command": f"python -m benchmarks.studies --rounds {given.rounds} --models {given.models}{more}",
        "machine": facts,
        "rounds": given.rounds,
        "models": given.models,
        "addresses": found,
        "browser": paint,
    }
    lines = markdown({**document, "machine": described(facts)})
    print(lines)
    if given.document is not None:
        insert(given.document, "studies cpu", lines)
    if given.output is not None:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
