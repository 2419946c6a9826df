"""Reads attributions: the list, and the document of one."""

from collections.abc import Iterable, Iterator
from typing import Literal

from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.jobs.references import PRUNED, references_of
from prunescope.server import urls
from prunescope.server.attributions.documents import (
    AttributionDocument,
    AttributionSummary,
    CausalDocument,
    CausalRow,
    ControlsRow,
    LayerRow,
    ScoreMap,
    VariantSummary,
    WordRow,
)
from prunescope.server.attributions.opened import OpenAttribution, no_such_neuron
from prunescope.server.labels import texts_label
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.summary import MAX_WORDS, ListedAttribution
from prunescope.text.words import fold

ROWS = 20
RANKS = 20


def attribution_summary(opened: OpenAttribution) -> AttributionSummary:
    """The entry of an attribution in a list."""
    return AttributionSummary.model_validate(_summary_fields(opened))


def attribution_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[AttributionSummary]:
    """A page of the list, newest first. Problem 422 for a wrong cursor or limit."""
    records, after = stores.results.list("attribution", cursor=cursor, limit=limit)
    items = [
        found if isinstance(found, AttributionSummary) else _damaged_summary(stores, *found)
        for found in summaries_of(stores, records)
    ]
    href = urls.attributions(cursor=after) if after else None
    return Page[AttributionSummary](items=items, next=after, next_href=href)


def summaries_of(stores: Stores, records: Iterable[Record]) -> Iterator[AttributionSummary | tuple[Record, str]]:
    """For each record its summary with present labels, or (record, reason) where the artefact is gone or was found
    damaged when it was last opened.

    Only artefacts of records that an earlier version wrote are opened, until a worker has added what these lack.
    """
    models, names = stores.names.models(), stores.names.attributions()
    for record in records:
        try:
            if damage := stores.attributions.known_damage(record.id):
                yield record, damage
                continue
            listed = ListedAttribution.of_record(record.summary) or stores.attributions.listed(record.id)
        except (Problem, OSError) as error:
            yield record, str(error)
            continue
        labels = stores.names.of_models(models, listed.models, listed.labels)
        variants = [
            VariantSummary(
                name=name, model=model, label=models.get(model.removeprefix(PRUNED), label), href=urls.model(model)
            )
            for name, model, label in zip(listed.variants, listed.models, labels, strict=True)
        ]
        yield AttributionSummary(
            id=record.id,
            label=names.get(record.id) or texts_label(record.spec),
            dense=Link(label=labels[0], href=variants[0].href),
            variants=variants[1:],
            examples=listed.examples,
            layers=listed.recorded_layers,
            neurons=listed.neurons,
            words=listed.words,
            created_at=record.created_at,
            href=urls.attribution(record.id),
        )


def _damaged_summary(stores: Stores, record: Record, reason: str) -> AttributionSummary:
    """The summary of an attribution that cannot be read, from its record."""
    names = Names(stores, references_of(record.spec))
    pruned = [
        VariantSummary(name=f"pruned-{number}", model=model, label=names.label(model), href=urls.model(model))
        for number, model in enumerate(record.spec["pruned"], start=1)
    ]
    return AttributionSummary(
        id=record.id,
        label=stores.names.attributions().get(record.id) or texts_label(record.spec),
        dense=names.link(record.spec["dense"]),
        variants=pruned,
        examples=0,
        layers=[],
        neurons=0,
        words=[],
        created_at=record.created_at,
        href=urls.attribution(record.id),
        damaged=reason,
    )


def attribution_document(
    opened: OpenAttribution,
    *,
    variant: str | None = None,
    word: str | None = None,
    layer: int | None = None,
    sort: Literal["rank", "drop"] = "rank",
    record: Record | None = None,
) -> AttributionDocument:
    """The document of one attribution: drops of ``variant``, neurons of ``word`` and ``layer``. Problem 404 or 422."""
    tables = opened.tables
    opened.check_layer(layer)
    chosen = opened.variant(variant)
    try:
        words = tables.words(chosen, layer)
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    if word is not None and fold(word) not in {fold(row.word) for row in words}:
        known = [row.word for row in words]
        raise bad_field("word", word, known, unknown_name(word, known))
    top, _ = tables.neurons(layer=layer, word=word, sort=sort, variant=chosen, limit=ROWS)
    best = tables.best_of_words(chosen)
    rank_map = tables.rank_map(ranks=min(RANKS, opened.store.neurons), variant=chosen)
    return AttributionDocument(
        **_summary_fields(opened),
        spec=opened.spec,
        summary=opened.summary,
        variant=chosen,
        word=word,
        example_list=opened.example_summaries,
        influential_words=[
            WordRow(
                **dict(row),
                best=opened.row(best[row.word]) if row.word in best else None,
                href=urls.attribution(opened.id, word=row.word),
            )
            for row in words
        ],
        score_map=ScoreMap(
            **dict(rank_map),
            hrefs=[
                [None if neuron is None else urls.neuron(opened.id, layer, neuron) for neuron in neurons]
                for layer, neurons in zip(rank_map.layers, rank_map.neurons, strict=True)
            ],
        ),
        layer_list=[
            LayerRow(
                **{**dict(row), "best": opened.row(row.best) if row.best else None},
                href=urls.layer(opened.id, row.layer),
            )
            for row in tables.layers(variant=chosen)
        ],
        top_neurons=[opened.row(row) for row in top],
        damaged_neurons=[opened.row(row) for row in tables.damaged(variant=chosen, layer=layer, limit=ROWS)],
        controls=_controls(opened),
        causal=causal_document(opened),
        provenance=opened.provenance,
        job=job_link(record) if record else None,
        created_at=record.created_at if record else None,
    )


def _summary_fields(opened: OpenAttribution) -> dict[str, object]:
    dense, *pruned = opened.variants
    return {
        "id": opened.id,
        "label": opened.label,
        "dense": Link(label=dense.label, href=dense.href),
        "variants": pruned,
        "examples": len(opened.examples),
        "layers": opened.layers,
        "neurons": opened.store.neurons,
        "words": [row.word for row in opened.tables.words(opened.variant(None))][:MAX_WORDS],
        "href": urls.attribution(opened.id),
    }


def _controls(opened: OpenAttribution) -> list[ControlsRow]:
    found = [(variant, opened.tables.controls(variant.name)) for variant in opened.variants[1:]]
    return [ControlsRow(variant=variant, **dict(groups)) for variant, groups in found if groups is not None]


def causal_document(opened: OpenAttribution) -> CausalDocument | None:
    """The results of the causal stage, in the order of the variants; None where the attribution had none."""
    found = opened.tables.causal()
    if found is None:
        return None
    rows = [
        CausalRow(
            name=variant.name,
            label=variant.label,
            intervention="restoration" if place else "ablation",
            **dict(found.variants[variant.name]),
        )
        for place, variant in enumerate(opened.variants)
    ]
    return CausalDocument(**{**dict(found), "variants": rows})
