"""Builds the documents of explanations: the list, and one explanation; and finds the explanations of two models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.labels import explained_label, explanation_facts
from prunescope.jobs.references import references_of
from prunescope.server import urls
from prunescope.server.explanations.documents import ExplanationDocument, ExplanationSummary, NeuronRow, ShareMap
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.artefacts.records import Record
from prunescope.store.explanations.documents import Explanation
from prunescope.store.explanations.folder import EXPLANATION_JSON, SHARES, ExplanationStore
from prunescope.store.explanations.summary import ListedExplanation

RANKS = 20
"""Maximum number of neurons of one layer in the map of margin shares."""


@dataclass(frozen=True)
class NeuronPages:
    """The pages of neurons in an attribution, for the links of an explanation's neurons. ``layers`` None: all."""

    link: Link
    id: str
    variant: str | None  # of the pruned model; None if it is the attribution's first
    layers: frozenset[int] | None

    def href(self, layer: int, neuron: int) -> str | None:
        """The address of a neuron's page; None if its layer was not recorded."""
        recorded = self.layers is None or layer in self.layers
        return urls.neuron(self.id, layer, neuron, variant=self.variant) if recorded else None


def explanation_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[ExplanationSummary]:
    """One page of the list of explanations, newest first. Raises Problem 422 for an invalid cursor or limit."""
    records, after = stores.results.list("explanation", cursor=cursor, limit=limit)
    href = urls.explanations(cursor=after) if after else None
    return Page[ExplanationSummary](items=summaries_of(stores, records), next=after, next_href=href)


def summaries_of(stores: Stores, records: Sequence[Record]) -> list[ExplanationSummary]:
    """The entry of each record's explanation in a list. Does not read the artefacts."""
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    labels = stores.names.explanations()
    return [
        ExplanationSummary(
            id=record.id,
            label=labels.get(record.id) or explained_label(record.spec),
            source=explained_label(record.spec),
            dense=names.link(record.spec["dense"]),
            pruned=names.link(record.spec["pruned"]),
            found=ListedExplanation.of_record(record.summary),
            created_at=record.created_at,
            href=urls.explanation(record.id),
        )
        for record in records
    ]


def explanation_document(stores: Stores, id: str) -> ExplanationDocument:
    """One explanation. Raises Problem 404 if there is none with this id, Damaged if its files cannot be read."""
    record = stores.results.get("explanation", id)
    found, shares = read_explanation(stores, id), margin_shares(stores, id)["margin_share"]
    pages = neuron_pages(stores, record.spec)
    names = Names(stores, references_of(record.spec))
    dense, pruned = names.link(record.spec["dense"]), names.link(record.spec["pruned"])
    return ExplanationDocument(
        **{field: getattr(found, field) for field in Explanation.model_fields if field != "neurons"},
        id=id,
        label=stores.names.explanations().get(id) or explained_label(record.spec),
        source_label=explained_label(record.spec),
        dense_model=dense,
        pruned_model=pruned,
        neurons=[
            NeuronRow(**dict(row), href=pages.href(row.layer, row.neuron) if pages else None) for row in found.neurons
        ],
        share_map=share_map(shares, pages),
        attribution=pages.link if pages else None,
        spec=record.spec,
        provenance="; ".join(
            [
                f"{dense.label} against {pruned.label}",
                explained_label(record.spec),
                *filter(None, explanation_facts(record.spec)),
            ]
        ),
        created_at=record.created_at,
        job=job_link(record),
        neurons_href=urls.explanation_neurons(id),
        curves_href=urls.explanation_curves(id),
        href=urls.explanation(id),
    )


def read_explanation(stores: Stores, id: str) -> Explanation:
    """The stored document of an explanation. Raises Problem 404 without one, Damaged if it cannot be read."""
    try:
        return ExplanationStore(stores.artefacts, id).document()
    except (ValueError, RecursionError) as error:
        raise Damaged(Path("explanations", id), EXPLANATION_JSON, "cannot be read") from error


def margin_shares(stores: Stores, id: str) -> dict[str, NDArray[np.float32]]:
    """The arrays [layers, neurons] of an explanation by name. Raises Problem 404 and Damaged as `read_explanation`."""
    try:
        return ExplanationStore(stores.artefacts, id).shares()
    except (ValueError, OSError) as error:
        raise Damaged(Path("explanations", id), SHARES, "cannot be read") from error


def explanations_of(stores: Stores, dense: str, pruned: Sequence[str]) -> list[Record]:
    """The records of the explanations of a dense model and one of these pruned ones, newest first."""
    same = stores.names.dense(dense)
    found = stores.results.naming("explanation", pruned, field="pruned")
    return [record for record in found if stores.names.dense(record.spec["dense"]) == same]


def neuron_pages(stores: Stores, spec: Mapping[str, Any]) -> NeuronPages | None:
    """The neurons' pages in the newest attribution of the models of an explanation's spec; None without one."""
    same = stores.names.dense(spec["dense"])
    for record in stores.results.naming("attribution", [spec["pruned"]], field="pruned"):
        if stores.names.dense(record.spec["dense"]) == same:
            place = record.spec["pruned"].index(spec["pruned"])
            label = stores.names.attributions().get(record.id) or record.id
            layers = record.spec.get("layers")
            variant = f"pruned-{place + 1}" if place else None
            link = Link(label=label, href=urls.attribution(record.id, variant=variant))
            return NeuronPages(link, record.id, variant, None if layers is None else frozenset(layers))
    return None


def share_map(shares: NDArray[np.float32], pages: NeuronPages | None) -> ShareMap:
    """The neurons with the largest margin shares of each layer, from shares [layers, neurons]."""
    ranks = min(RANKS, shares.shape[1])
    best = np.argsort(-shares, axis=1, kind="stable")[:, :ranks]
    layers = list(range(len(shares)))
    return ShareMap(
        layers=layers,
        ranks=list(range(1, ranks + 1)),
        shares=np.take_along_axis(shares, best, axis=1).tolist(),
        neurons=best.tolist(),
        hrefs=[[pages.href(layer, int(each)) if pages else None for each in best[layer]] for layer in layers],
    )
