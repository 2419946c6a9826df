"""Builds the documents of corpora, and finds the corpora of a dense model."""

from collections.abc import Iterable, Sequence

import numpy as np

from prunescope.jobs.labels import corpus_label
from prunescope.jobs.references import canonical_reference, references_of
from prunescope.server import urls
from prunescope.server.corpora.documents import (
    CorpusDocument,
    CorpusExample,
    CorpusNeuron,
    CorpusSummary,
    ModelActivation,
    NeuronInModel,
    Quantile,
    WrittenToken,
)
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record
from prunescope.store.corpora.documents import ListedCorpus
from prunescope.store.corpora.folder import CorpusStore, StoredWindow
from prunescope.store.corpora.neurons import NO_WINDOW, QUANTILES

SIGNS = ("highest", "lowest")
CONTEXT = 16
"""Number of tokens shown on each side of an example's token."""


def corpus_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[CorpusSummary]:
    """One page of the list of corpora, newest first. Raises Problem 422 for an invalid cursor or limit."""
    records, after = stores.results.list("corpus", cursor=cursor, limit=limit)
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    items = [CorpusSummary.model_validate(_summary(stores, record, names)) for record in records]
    return Page[CorpusSummary](items=items, next=after, next_href=urls.corpora(cursor=after) if after else None)


def corpus_document(stores: Stores, id: str) -> CorpusDocument:
    """One corpus. Raises Problem 404 if there is none with this id, Damaged if its files were changed."""
    record = stores.results.get("corpus", id)
    stored = CorpusStore.of(stores.artefacts, id).document
    names = Names(stores, references_of(record.spec))
    return CorpusDocument.model_validate(
        {
            **dict(stored),
            **_summary(stores, record, names),
            "spec": record.spec,
            "neuron_href": urls.corpus_neuron(id, stored.layers[0], 0),
            "job": job_link(record),
        }
    )


def corpora_of(stores: Stores, dense: str, most: int) -> list[Record]:
    """The newest corpora, at most `most`, that were read with the model `dense` as their first model."""
    references = {dense, canonical_reference(dense, stores.settings)}
    found = stores.results.corpora_of(sorted(references), most)
    return [record for record in found if record.spec["models"][0] in references]


def corpus_neuron(stores: Stores, id: str, layer: int, neuron: int) -> CorpusNeuron:
    """One neuron in every model of a corpus. Raises Problem 404 for an unknown corpus or a neuron that was not
    recorded, Damaged if its files were changed."""
    return read_neuron(stores, stores.results.get("corpus", id), layer, neuron)


def read_neuron(
    stores: Stores, corpus: Record, layer: int, neuron: int, variants: Sequence[str] | None = None
) -> CorpusNeuron:
    """One neuron of a corpus, in the dense model and in the `variants` (None: all). Raises as `corpus_neuron` does."""
    store = CorpusStore.of(stores.artefacts, corpus.id)
    document = store.document
    chosen = [
        number
        for number, reference in enumerate(document.models)
        if number == 0 or variants is None or reference in variants
    ]
    names = Names(stores, document.models)
    models = neuron_in_models(
        store, layer, neuron, [(number, names.link(document.models[number])) for number in chosen]
    )
    last = document.neurons - 1
    return CorpusNeuron(
        corpus=Link(label=_label(stores, corpus), href=urls.corpus(corpus.id)),
        layer=layer,
        neuron=neuron,
        name=f"L{layer}/N{neuron}",
        tokens=document.tokens,
        sampled=document.sampled,
        sinks=bool(corpus.spec.get("sinks")),
        models=models,
        previous_href=urls.corpus_neuron(corpus.id, layer, neuron - 1) if neuron > 0 else None,
        next_href=urls.corpus_neuron(corpus.id, layer, neuron + 1) if neuron < last else None,
        href=urls.corpus_neuron(corpus.id, layer, neuron),
    )


def neuron_in_models(
    store: CorpusStore, layer: int, neuron: int, chosen: Sequence[tuple[int, Link]]
) -> list[NeuronInModel]:
    """One neuron of a corpus in the models `chosen`, each given by its number in the corpus and the link to it; the
    first is the dense one. Raises Problem 404 for a neuron that was not recorded, Damaged if files were changed."""
    document = store.document
    rows = [store.neuron(number, layer, neuron) for number, _ in chosen]
    windows = store.windows({int(window) for row in rows for sign in SIGNS for window in row[sign]["window"]})
    ids = {int(token) for row in rows for side in ("up", "down") if document.writes for token in row[side]}
    texts = store.token_texts(ids)
    labels = [link.label for _, link in chosen]
    models = []
    for place, ((number, link), row) in enumerate(zip(chosen, rows, strict=True)):
        at = {
            sign: {labels[place]: row[sign]["value"]}
            if place
            else {label: other[sign]["here"] for label, other in zip(labels, rows, strict=True)}
            for sign in SIGNS
        }
        examples = {sign: _examples(row[sign], windows, at[sign]) for sign in SIGNS}
        written = {side: _written(row, side, texts) if document.writes else [] for side in ("up", "down")}
        compared = document.writes and place > 0
        models.append(
            NeuronInModel(
                model=link,
                reference=document.models[number],
                **{name: float(row[name]) for name in ("mean", "deviation", "minimum", "maximum", "density")},
                quantiles=[
                    Quantile(share=share, value=float(value))
                    for share, value in zip(QUANTILES, row["quantiles"], strict=True)
                ],
                **examples,
                **written,
                shared_up=_shared(rows[0]["up"], row["up"]) if compared else None,
                shared_down=_shared(rows[0]["down"], row["down"]) if compared else None,
            )
        )
    return models


def _summary(stores: Stores, record: Record, names: Names) -> dict[str, object]:
    listed = ListedCorpus.model_validate(record.summary)
    return {
        "id": record.id,
        "label": _label(stores, record),
        "dataset": listed.dataset,
        "models": [names.link(reference) for reference in listed.models],
        "tokens": listed.tokens,
        "windows": listed.windows,
        "writes": listed.writes,
        "created_at": record.created_at,
        "href": urls.corpus(record.id),
    }


def _label(stores: Stores, record: Record) -> str:
    return stores.names.corpora().get(record.id) or corpus_label(record.spec)


def _examples(
    places: np.ndarray, windows: dict[int, StoredWindow], activations: dict[str, np.ndarray]
) -> list[CorpusExample]:
    """The examples of one sign. `activations`: label of a model -> its activations at these examples."""
    found = []
    for index, place in enumerate(places):
        number, position = int(place["window"]), int(place["position"])
        if number == NO_WINDOW or number not in windows:
            continue
        window = windows[number]
        found.append(
            CorpusExample(
                window=number,
                text=window.text,
                position=position,
                before=_joined(window, range(max(0, position - CONTEXT), position)),
                token=window.tokens[position],
                after=_joined(window, range(position + 1, min(len(window.tokens), position + 1 + CONTEXT))),
                activations=[
                    ModelActivation(model=label, activation=float(values[index]))
                    for label, values in activations.items()
                ],
            )
        )
    return found


def _joined(window: StoredWindow, positions: Iterable[int]) -> str:
    """The text of tokens of a window, without special tokens."""
    return "".join(window.tokens[position] for position in positions if not window.special[position])


def _written(row: np.void, side: str, texts: dict[int, str]) -> list[WrittenToken]:
    return [
        WrittenToken(id=int(token), token=texts.get(int(token), ""), logit=float(logit))
        for token, logit in zip(row[side], row[f"{side}_values"], strict=True)
        if token >= 0
    ]


def _shared(dense: np.ndarray, own: np.ndarray) -> int:
    """How many tokens two lists have in common."""
    return len({*dense.tolist()} & {*own.tolist()} - {-1})
