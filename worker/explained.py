"""The document and the arrays of an explanation, from the result of the numerics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.neurons import format_head, format_neuron
from prunescope.jobs.specs import ExplainSpec
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.explain import curves
from prunescope.nsa.explain.answers import auc, said
from prunescope.nsa.explain.outcome import Outcome
from prunescope.nsa.explain.rows import Row, is_right
from prunescope.store.explanations import documents
from prunescope.store.explanations.documents import Explanation, LeftOutRow, Source

MAX_NEURONS = 200
"""Neurons in the document, best first; the arrays hold all."""
MAX_HEADS = 100


@dataclass
class Used:
    """The rows of an explanation: how a model's tokenizer spells them, their source, the rows left out, and the labels
    of a task whose choices are the same in every row. `hashes` is filled in by `rows_of` for windows of text."""

    rows_of: Callable[[LanguageModel], list[Row]]
    source: Source
    left_out: list[LeftOutRow]
    labels: list[str]
    hashes: list[str] = field(default_factory=list)


def document_of(
    spec: ExplainSpec,
    used: Used,
    found: Outcome,
    *,
    labels: list[str],
    made: dict[str, Any],
    seconds: float,
) -> Explanation:
    """The document of an explanation. `labels` are the display names of both models, `made` is the environment."""
    rows = found.rows
    dense, pruned = (is_right(rows, found.scores[name]) for name in ("dense", "pruned"))
    patched = is_right(rows, found.patched)
    windows = len(rows[0].choices) == 1
    margins = {name: float(found.margins[name][found.measured].mean()) for name in ("dense", "pruned")}
    return Explanation(
        format=documents.FORMAT,
        dense=spec.dense,
        pruned=spec.pruned,
        labels=labels,
        source=used.source if not used.hashes else used.source.model_copy(update={"sha256": used.hashes[0]}),
        measure="loss" if windows else "margin",
        ranked_by="content" if spec.content else "margin",
        sinks=spec.sinks,
        shape=(found.share.shape[0], found.share.shape[1]),
        rows=documents.Rows(
            rows=len(rows),
            broken=len(found.broken),
            mended=found.mended,
            fell=found.fell,
            halves=(len(found.halves[0]), len(found.halves[1])),
            training=len(rows),
            ranked=len(found.ranked),
            held_out=len(rows),
            held_out_broken=len(found.broken),
            measured=len(found.measured),
            measured_are=spec.rows,
            truncated=sum(any(choice.truncated for choice in row.choices) for row in rows),
            left_out=used.left_out,
        ),
        margins=documents.Margins(**margins, lost=margins["dense"] - margins["pruned"]),
        accuracy=None
        if windows
        else documents.Accuracy(dense=float(dense.mean()), pruned=float(pruned.mean()), patched=float(patched.mean())),
        all=documents.Whole(**{name: _restored(found.whole.restored.get(name)) for name in _SETS}),
        accounting=documents.Accounting(steps=spec.steps, **{name: found.whole.integrated.get(name) for name in _SETS}),
        curves={
            name: [documents.Point(k=k, **_fields(each)) for k, each in found.curves[name]]
            for name in documents.RANKINGS
            if name in found.curves
        },
        reverse=documents.Reverse(
            all=documents.Lost(**_lost(found.reverse["all"][0][1])),
            **{
                name: [documents.LostPoint(k=k, **_lost(each)) for k, each in found.reverse[name]]
                for name in ("margin", "random")
            },
        ),
        answers=_answers(used.labels, rows, found) if used.labels else None,
        neurons=_neurons(found),
        heads=_heads(found),
        layers=[
            documents.LayerShares(
                layer=layer,
                share=float(found.share[layer].sum()),
                integrated=float(found.integrated[layer].sum()),
                heads=float(found.head_share[layer].sum()) if found.head_share.size else None,
            )
            for layer in range(len(found.share))
        ],
        notes=found.notes,
        device=made["device"],
        dtype=made["dtype"],
        versions=made["versions"],
        seconds=seconds,
    )


_SETS = ("neurons", "heads", "both")


def arrays_of(found: Outcome) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """(arrays of neurons, arrays of heads), by the names of `store/explanations/folder.py`."""
    unknown = np.full(found.share.shape, np.nan)
    neurons = {
        "margin_share": found.share,
        "integrated_share": found.integrated,
        "prior_share": unknown if found.prior is None else found.prior,
        "content_share": unknown if found.content is None else found.content,
        "change": found.change,
        "rank": found.rank,
    }
    heads = {"head_share": found.head_share, "integrated_share": found.head_integrated}
    return (
        {name: values.astype(np.float32) for name, values in neurons.items()},
        {name: values.astype(np.float32) for name, values in heads.items()},
    )


def _fields(found: curves.Restored) -> dict[str, float | None]:
    return {
        "restored": found.restored,
        "low": found.low,
        "high": found.high,
        "right_again": found.right_again,
        "newly_wrong": found.newly_wrong,
    }


def _restored(found: curves.Restored | None) -> documents.Restored | None:
    return None if found is None else documents.Restored(**_fields(found))


def _lost(found: curves.Restored) -> dict[str, float | None]:
    return {"lost": found.restored, "low": found.low, "high": found.high}


def _answers(labels: list[str], rows: Sequence[Row], found: Outcome) -> documents.Answers:
    right = np.array([row.answer for row in rows])
    scores = {name: np.array(found.scores[name]) for name in ("dense", "pruned")}
    scores["patched"] = np.array(found.patched)
    assert found.labels is not None
    return documents.Answers(
        labels=labels,
        fallen=labels[found.labels.fallen],
        right=dict(zip(labels, (np.bincount(right, minlength=len(labels)) / len(right)).tolist(), strict=True)),
        said=documents.Said(
            **{name: dict(zip(labels, said(own).tolist(), strict=True)) for name, own in scores.items()}
        ),
        auc=documents.Auc(**{name: auc(own, right) for name, own in scores.items()}),
        prior=found.labels.prior,
        content=found.labels.content,
    )


def _neurons(found: Outcome) -> list[documents.NeuronShare]:
    """The best neurons by the ranking `margin`, with their words."""
    width = found.share.shape[1]
    best = np.argsort(found.rank.ravel(), kind="stable")[:MAX_NEURONS]
    listed = []
    for rank, (layer, neuron) in enumerate(((int(place) // width, int(place) % width) for place in best), start=1):
        listed.append(
            documents.NeuronShare(
                layer=layer,
                neuron=neuron,
                name=format_neuron(layer, neuron),
                rank=rank,
                share=float(found.share[layer, neuron]),
                integrated=float(found.integrated[layer, neuron]),
                prior=None if found.prior is None else float(found.prior[layer, neuron]),
                content=None if found.content is None else float(found.content[layer, neuron]),
                change=float(found.change[layer, neuron]),
                words=[
                    documents.NeuronWord(word=each.word, dense=each.dense, pruned=each.pruned)
                    for each in found.words.get((layer, neuron), [])
                ],
            )
        )
    return listed


def _heads(found: Outcome) -> list[documents.HeadShare]:
    """The heads with the greatest shares."""
    count = found.head_share.shape[1]
    best = np.argsort(-found.head_share.ravel(), kind="stable")[:MAX_HEADS]
    return [
        documents.HeadShare(
            layer=layer,
            head=head,
            name=format_head(layer, head),
            share=float(found.head_share[layer, head]),
            integrated=float(found.head_integrated[layer, head]),
        )
        for layer, head in ((int(place) // count, int(place) % count) for place in best)
    ]
