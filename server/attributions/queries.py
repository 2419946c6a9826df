"""Attributions: the overview of one."""

from collections.abc import Iterable, Iterator
from typing import Literal

from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.attributions.causal import causal_document
from prunescope.server.attributions.documents import (
    AttributionDocument,
    AttributionSummary,
    ControlsRow,
    LayerRow,
    ScoreMap,
    VariantSummary,
    WordRow,
)
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.labels import texts_label
from prunescope.server.neurons.queries import no_such_neuron
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.names import Names, job_link, references_of
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.tables import NeuronRow
from prunescope.text.words import fold

WORDS_IN_SUMMARY = 6
ROWS = 20
RANKS = 20


def attribution_summary(opened: OpenAttribution) -> AttributionSummary:
    """One line of the list of attributions."""
    return AttributionSummary.model_validate(_summary_fields(opened))


def attribution_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[AttributionSummary]:
    """Newest first."""
    records, after = stores.results.list("attribution", cursor=cursor, limit=limit)
    items = [
        found if isinstance(found, AttributionSummary) else _damaged_summary(stores, *found)
        for found in summaries_of(stores, records)
    ]
    href = urls.attributions(cursor=after) if after else None
    return Page[AttributionSummary](items=items, next=after, next_href=href)


def summaries_of(stores: Stores, records: Iterable[Record]) -> Iterator[AttributionSummary | tuple[Record, str]]:
    """A summary of each with the names of now (what is kept of it was read once), or why it cannot be read: damaged,
    gone or being replaced."""
    models, names = stores.names.models(), stores.names.attributions()
    for record in records:
        try:
            kept = stores.attributions.summary(record.id, attribution_summary)
        except (Problem, OSError) as error:
            yield record, str(error)
            continue
        variants = [
            variant.model_copy(update={"label": models.get(variant.model.removeprefix(PRUNED), variant.label)})
            for variant in kept.variants
        ]
        named = {"label": names.get(record.id, kept.label), "variants": variants}
        yield kept.model_copy(update={**named, "created_at": record.created_at})


def _damaged_summary(stores: Stores, record: Record, reason: str) -> AttributionSummary:
    """What the record alone tells."""
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
    """The overview; ``variant``, ``word`` and ``layer`` choose what the lists speak of. Problem 404 or 422."""
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
        influential_words=[_word_row(opened, row.word, row.model_dump(), best.get(row.word)) for row in words],
        score_map=ScoreMap(
            **rank_map.model_dump(),
            hrefs=[
                [None if neuron is None else urls.neuron(opened.id, layer, neuron) for neuron in neurons]
                for layer, neurons in zip(rank_map.layers, rank_map.neurons, strict=True)
            ],
        ),
        layer_list=[
            LayerRow(
                layer=row.layer,
                ranked=row.ranked,
                best=opened.row(row.best) if row.best else None,
                score=row.score,
                drop=row.drop,
                over_like=row.over_like,
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
        "words": [row.word for row in opened.tables.words(opened.variant(None))][:WORDS_IN_SUMMARY],
        "href": urls.attribution(opened.id),
    }


def _word_row(opened: OpenAttribution, word: str, fields: dict[str, object], best: NeuronRow | None) -> WordRow:
    return WordRow.model_validate(
        {
            **fields,
            "best": opened.row(best) if best else None,
            "href": urls.attribution(opened.id, word=word),
        }
    )


def _controls(opened: OpenAttribution) -> list[ControlsRow]:
    rows = []
    for variant in opened.variants[1:]:
        groups = opened.tables.controls(variant.name)
        if groups is not None:
            rows.append(
                ControlsRow(
                    variant=variant,
                    matched=groups.matched,
                    random=groups.random,
                    like=groups.like,
                    over_random=groups.over_random,
                    over_like=groups.over_like,
                )
            )
    return rows
