"""Reads the perplexities of an evaluation and compares them with the dense model's on the same windows."""

from collections.abc import Callable, Mapping
from typing import Any

from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.evaluations.documents import PairedPerplexity, TextPerplexity
from prunescope.server.site.documents import Link
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.evaluations.outcomes import text_key
from prunescope.store.evaluations.values import Pairing

Measured = dict[str, dict[str, Any]]


def measured_perplexities(record: Record) -> Measured:
    """Text -> what was measured; empty for an evaluation without."""
    measured: Measured = record.summary.get("perplexity") or {}
    return measured


def text_perplexities(
    record: Record,
    dense: Mapping[str, Record] | None = None,
    paired: Mapping[str, PairedPerplexity] | None = None,
) -> list[TextPerplexity]:
    """A record's perplexities; `dense` is the evaluation to compare each text with, `paired` the comparison window by
    window."""
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
                paired=(paired or {}).get(name),
            )
        )
    return documents


def perplexities_beside_dense(
    results: Results,
    record: Record,
    pairing_of: Callable[[Record, str], tuple[Pairing, Record] | None],
    links: Mapping[str, Link],
) -> list[TextPerplexity]:
    """A record's perplexities beside the dense evaluations that they are paired with (`links`: id -> its page); where
    windows' losses were not kept, beside the newest one of the same windows."""
    dense, paired = dense_perplexities(results, record), {}
    for text in measured_perplexities(record):
        if found := pairing_of(record, text_key(text)):
            pairing, dense[text] = found
            paired[text] = _paired(pairing, links[pairing.dense_evaluation])
    return text_perplexities(record, dense, paired)


def _paired(pairing: Pairing, dense: Link) -> PairedPerplexity:
    return PairedPerplexity(
        evaluation=dense,
        windows=pairing.rows,
        worse=pairing.newly_wrong,
        better=pairing.newly_right,
        same=pairing.both_right,
        difference=pairing.difference,
        interval=pairing.interval,
        p=pairing.p,
    )


def dense_perplexities(results: Results, record: Record) -> dict[str, Record]:
    """Text -> the newest evaluation of the model that this record's model was pruned from with the same tokens in the
    same windows: a figure of 4096 tokens says nothing beside one of 2048."""
    reference, measured = record.spec["model"], measured_perplexities(record)
    if not measured or not reference.startswith(PRUNED):
        return {}
    models = results.many("model", [reference.removeprefix(PRUNED)])
    found: dict[str, Record] = {}
    for model in models.values():
        for other in results.naming("evaluation", [model.spec["model"]]):
            for name, theirs in measured_perplexities(other).items():
                if name in measured and theirs["sha256"] == measured[name]["sha256"]:
                    found.setdefault(name, other)
    return found
