"""Margin shares of single neurons, for the pages of attributions and neurons: from the newest explanation of the same
dense and pruned model, or from a chosen one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.labels import explained_label
from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.explanations.queries import margin_shares
from prunescope.server.site.documents import Document, Link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record

MAX_OFFERED = 20
"""Maximum number of explanations of the same two models that a page offers."""
MAX_SOURCES = 3
"""Maximum number of tasks and texts of which a neuron's page tells the margin share."""


class NeuronMargin(Document):
    """What one neuron carries of the loss that an explanation explains."""

    explanation: Link  # with the name of its task or text
    measure: Literal["margin", "loss"]
    share: float  # margin share
    integrated: float  # integrated share
    rank: int  # margin rank, from 1
    of: int  # number of neurons of the model


@dataclass(frozen=True)
class MarginShares:
    """The margin shares of an explanation: arrays [layers, neurons]."""

    id: str
    source: str  # the task or text: "arc_easy"
    measure: Literal["margin", "loss"]
    label: str  # "arc_easy, 200 rows"
    share: NDArray[np.float32]
    integrated: NDArray[np.float32]
    rank: NDArray[np.float32]

    @property
    def link(self) -> Link:
        return Link(label=self.label, href=urls.explanation(self.id))

    def of(self, layer: int, neuron: int) -> NeuronMargin:
        """The shares of one neuron."""
        return NeuronMargin(
            explanation=Link(label=self.source, href=urls.explanation(self.id)),
            measure=self.measure,
            share=float(self.share[layer, neuron]),
            integrated=float(self.integrated[layer, neuron]),
            rank=int(self.rank[layer, neuron]),
            of=self.rank.size,
        )


def offered(stores: Stores, dense: str, pruned: str) -> list[Record]:
    """The newest explanations of these two models, at most MAX_OFFERED."""
    return stores.results.explanations_of(dense, pruned, MAX_OFFERED)


def shares_from(
    stores: Stores, records: Sequence[Record], shape: tuple[int, int], id: str | None
) -> MarginShares | None:
    """The margin shares of the explanation ``id``, by default of the first one that can be read and is of a model of
    this shape (layers, neurons). Raises Problem 422 if ``id`` is not among the records or cannot be used."""
    for record in records:
        if id is None or record.id == id:
            found = _read(stores, record, shape)
            if found is not None:
                return found
    if id is not None:
        known = [record.id for record in records]
        message = f"there is no explanation {id[:40]!r} of these two models that can be read"
        raise bad_field("explanation", id, known, message)
    return None


def margins_of(
    stores: Stores, dense: str, pruned: Sequence[str], shape: tuple[int, int]
) -> dict[str, list[MarginShares]]:
    """Pruned model -> the margin shares of the newest explanation of each task and text, at most MAX_SOURCES; models
    without an explanation are omitted."""
    found: dict[str, dict[str, MarginShares]] = {}
    for record in stores.results.naming("explanation", pruned, field="pruned"):
        if record.spec["dense"] != dense:
            continue
        known, source = found.setdefault(record.spec["pruned"], {}), _source(record)
        if source not in known and len(known) < MAX_SOURCES and (shares := _read(stores, record, shape)):
            known[source] = shares
    return {reference: [*known.values()] for reference, known in found.items() if known}


def _source(record: Record) -> str:
    """The name of the task or text without the number of rows."""
    return str(record.spec.get("task") or (record.spec.get("perplexity") or {}).get("dataset"))


def _read(stores: Stores, record: Record, shape: tuple[int, int]) -> MarginShares | None:
    """None for an artefact that is missing, damaged or of a model of another shape: a page about something else is
    shown without it."""
    try:
        arrays = margin_shares(stores, record.id)
    except Problem:
        return None
    if arrays["margin_share"].shape != shape:
        return None
    return MarginShares(
        record.id,
        _source(record),
        "loss" if record.spec.get("perplexity") else "margin",
        explained_label(record.spec),
        arrays["margin_share"],
        arrays["integrated_share"],
        arrays["rank"],
    )
