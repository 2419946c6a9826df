"""Perplexities of an evaluation, beside the dense model's on the very same windows."""

from typing import Any

from jobs.references import PRUNED
from server import urls
from server.documents import TextPerplexity
from server.read.records import naming
from store.results import Record, Results

Measured = dict[str, dict[str, Any]]


def measured_perplexities(record: Record) -> Measured:
    """Text -> what was measured; empty for an evaluation without."""
    measured: Measured = record.summary.get("perplexity") or {}
    return measured


def text_perplexities(record: Record, dense: dict[str, Record] | None = None) -> list[TextPerplexity]:
    """A record's perplexities; `dense` are the evaluations that each of them stands beside."""
    documents = []
    for name, measured in measured_perplexities(record).items():
        beside = (dense or {}).get(name)
        before = None if beside is None else measured_perplexities(beside)[name]["perplexity"]
        documents.append(
            TextPerplexity(
                text=name,
                **measured,
                dense=before,
                ratio=None if before is None else measured["perplexity"] / before,
                dense_href=urls.evaluation(beside.id) if beside else None,
            )
        )
    return documents


def dense_perplexities(results: Results, record: Record) -> dict[str, Record]:
    """Text -> the newest evaluation of the model that this record's model was pruned from with the same tokens in the
    same windows: a figure of 4096 tokens says nothing beside one of 2048."""
    reference, measured = record.spec["model"], measured_perplexities(record)
    if not measured or not reference.startswith(PRUNED):
        return {}
    models = results.many("model", [reference.removeprefix(PRUNED)])
    found: dict[str, Record] = {}
    for model in models.values():
        for other in naming(results, "evaluation", model.spec["model"]):
            for name, theirs in measured_perplexities(other).items():
                if name in measured and theirs["sha256"] == measured[name]["sha256"]:
                    found.setdefault(name, other)
    return found
