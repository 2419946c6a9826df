"""Reads the perplexities of an evaluation and compares them with the dense model's on the same windows."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.evaluations.documents import PairedPerplexity, TextPerplexity
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.evaluations.outcomes import text_key
from prunescope.store.evaluations.values import Measurement, Pairing

Values: TypeAlias = Mapping[tuple[str, str], Measurement]
"""(evaluation, task or text in tables) -> what it found."""


def text_perplexities(
    record: Record,
    values: Values,
    dense: Mapping[str, Record] | None = None,
    paired: Mapping[str, PairedPerplexity] | None = None,
) -> list[TextPerplexity]:
    """A record's perplexities; `dense` is the evaluation to compare each text with (`values` has its values too),
    `paired` the comparison window by window."""
    documents = []
    for name, how in _measured(record).items():
        found = values[record.id, text_key(name)]
        beside = (dense or {}).get(name)
        before = None if beside is None else values[beside.id, text_key(name)].value
        documents.append(
            TextPerplexity(
                text=name,
                **how,
                perplexity=found.value,
                interval=found.interval,
                tokens=found.rows or 0,
                dense=before,
                ratio=None if before is None else found.value / before,
                dense_href=urls.evaluation(beside.id) if beside else None,
                paired=(paired or {}).get(name),
            )
        )
    return documents


def perplexities_beside_dense(
    stores: Stores,
    record: Record,
    values: Values,
    pairing_of: Callable[[Record, str], tuple[Pairing, Record] | None],
    links: Mapping[str, Link],
) -> list[TextPerplexity]:
    """A record's perplexities beside the dense evaluations that they are paired with (`links`: id -> its page); where
    windows' losses were not kept, beside the newest one of the same windows."""
    dense, paired = _same_windows(stores.results, record), {}
    for text in _measured(record):
        if found := pairing_of(record, text_key(text)):
            pairing, dense[text] = found
            paired[text] = _paired(pairing, links[pairing.dense_evaluation])
    theirs = stores.measurements.values_of(other.id for other in dense.values())
    there = {text: other for text, other in dense.items() if (other.id, text_key(text)) in theirs}
    return text_perplexities(record, {**values, **theirs}, there, paired)


def _measured(record: Record) -> dict[str, dict[str, Any]]:
    """Text -> how it was measured; empty for an evaluation without."""
    measured: dict[str, dict[str, Any]] = record.summary.get("perplexity") or {}
    return measured


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


def _same_windows(results: Results, record: Record) -> dict[str, Record]:
    """Text -> the newest evaluation of the model that this record's model was pruned from with the same tokens in the
    same windows: a figure of 4096 tokens says nothing beside one of 2048."""
    reference, measured = record.spec["model"], _measured(record)
    if not measured or not reference.startswith(PRUNED):
        return {}
    models = results.many("model", [reference.removeprefix(PRUNED)])
    found: dict[str, Record] = {}
    for model in models.values():
        for other in results.naming("evaluation", [model.spec["model"]]):
            for name, theirs in _measured(other).items():
                if name in measured and theirs["sha256"] == measured[name]["sha256"]:
                    found.setdefault(name, other)
    return found
