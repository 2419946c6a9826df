"""Builds the documents of attributions: the list, and one attribution."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from prunescope.jobs.labels import texts_label
from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.attributions.documents import (
    AttributionDocument,
    AttributionSummary,
    CausalDocument,
    CausalRow,
    ControlsRow,
    LayerRow,
    MarginSource,
    NeuronRow,
    ScoreMap,
    VariantSummary,
    WordRow,
)
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.placebo import placebo_draws
from prunescope.server.explanations.shares import MarginShares, offered, shares_from
from prunescope.server.site.documents import Choice, Link, Page
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record
from prunescope.store.attributions.causal import CausalSetup
from prunescope.store.attributions.split import not_split
from prunescope.store.attributions.summary import MAX_WORDS, ListedAttribution
from prunescope.text.words import fold

By = Literal["score", "margin"]
"""The value that orders neurons: Score, or margin share."""
ROWS = 20
"""Maximum number of neurons in each table of an attribution's document."""
RANKS = 20
"""Maximum number of neurons of one layer in the map of Scores."""


def attribution_summary(opened: OpenAttribution, record: Record | None = None) -> AttributionSummary:
    """The entry of an open attribution in a list. The time of creation comes from the record, if given."""
    return _summary(
        opened.id,
        opened.label,
        opened.variants,
        examples=len(opened.examples),
        layers=opened.layers,
        neurons=opened.store.neurons,
        words=[row.word for row in opened.tables.words(opened.variant(None))][:MAX_WORDS],
        created_at=record.created_at if record else None,
    )


def _summary(id: str, label: str, variants: Sequence[VariantSummary], **more: Any) -> AttributionSummary:
    dense, *pruned = variants
    link = Link(label=dense.label, href=dense.href)
    return AttributionSummary(id=id, label=label, dense=link, variants=pruned, href=urls.attribution(id), **more)


def attribution_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[AttributionSummary]:
    """One page of the list of attributions, newest first. Raises Problem 422 for an invalid cursor or limit."""
    records, after = stores.results.list("attribution", cursor=cursor, limit=limit)
    href = urls.attributions(cursor=after) if after else None
    return Page[AttributionSummary](items=[*summaries_of(stores, records)], next=after, next_href=href)


def summaries_of(stores: Stores, records: Iterable[Record]) -> Iterator[AttributionSummary]:
    """The entry of each record's attribution in a list, with present labels. If the artefact is missing, or could not
    be read when it was last opened, the entry has the reason in ``damaged``.

    Reads the artefact only if the record has no summary, which a worker adds to records of earlier versions.
    """
    models, names = stores.names.models(), stores.names.attributions()
    for record in records:
        label = names.get(record.id) or texts_label(record.spec)
        listed, damaged = None, None
        try:
            damaged = stores.attributions.known_damage(record.id)
            if not damaged:
                listed = ListedAttribution.of_record(record.summary) or stores.attributions.listed(record.id)
        except (Problem, OSError) as error:
            damaged = str(error)
        if listed is None:
            references = [record.spec["dense"], *record.spec["pruned"]]
            known = Names(stores, references)
            numbered = ["dense", *(f"pruned-{number}" for number in range(1, len(references)))]
            variants = VariantSummary.all_of(numbered, references, map(known.label, references))
            yield _summary(record.id, label, variants, created_at=record.created_at, damaged=damaged)
            continue
        stored = zip(listed.models, stores.names.of_models(models, listed.models, listed.labels), strict=True)
        labels = [models.get(model.removeprefix(PRUNED), otherwise) for model, otherwise in stored]
        yield _summary(
            record.id,
            label,
            VariantSummary.all_of(listed.variants, listed.models, labels),
            examples=listed.examples,
            layers=listed.recorded_layers,
            neurons=listed.neurons,
            words=listed.words,
            created_at=record.created_at,
        )


def attribution_document(
    stores: Stores,
    opened: OpenAttribution,
    *,
    variant: str | None = None,
    word: str | None = None,
    layer: int | None = None,
    sort: Literal["rank", "drop"] = "rank",
    by: By = "score",
    explanation: str | None = None,
) -> AttributionDocument:
    """The document of one attribution.

    ``variant`` chooses the drops, by default those of the first pruned variant. ``word`` and ``layer`` filter the
    neurons. ``by`` orders neurons by Score or by the margin share of ``explanation``, by default the newest of the
    dense model and the variant. Raises Problem 422 for an unknown variant, word, layer or explanation, and for the
    order by margin share without an explanation.
    """
    tables, record = opened.tables, stores.results.many("attribution", [opened.id]).get(opened.id)
    opened.check_layer(layer)
    chosen = opened.variant(variant)
    words = tables.words(chosen, layer)
    if word is not None and fold(word) not in {fold(row.word) for row in words}:
        known = [row.word for row in words]
        raise bad_field("word", word, known, unknown_name(word, known))
    records, shares = margins(stores, opened, chosen, by=by, explanation=explanation)
    order = shares.share if shares and by == "margin" else None
    top, _ = tables.neurons(layer=layer, word=word, sort=sort, by=order, variant=chosen, limit=ROWS)
    best = tables.best_of_words(chosen)
    rank_map = tables.rank_map(ranks=min(RANKS, opened.store.neurons), variant=chosen, by=order)
    return AttributionDocument(
        **dict(attribution_summary(opened, record)),
        spec=opened.spec,
        summary=opened.summary,
        variant=chosen,
        word=word,
        by=by,
        explanation=MarginSource(id=shares.id, **dict(shares.link)) if shares else None,
        explanations=[
            Choice(value=record.id, label=stores.names.explanations().get(record.id) or record.id) for record in records
        ],
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
            margins=shares
            and [
                [None if neuron is None else float(shares.share[layer, neuron]) for neuron in neurons]
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
        top_neurons=[with_margin(opened.row(row), shares) for row in top],
        damaged_neurons=[
            with_margin(opened.row(row), shares)
            for row in tables.damaged(variant=chosen, layer=layer, by=order, limit=ROWS)
        ],
        controls=_controls(opened),
        split=tables.split(chosen),
        not_split=not_split(opened.store),
        causal=_causal(opened),
        provenance=opened.provenance,
        job=job_link(record) if record else None,
    )


def margins(
    stores: Stores,
    opened: OpenAttribution,
    variant: str | None,
    *,
    by: By = "score",
    explanation: str | None = None,
    field: str = "by",
) -> tuple[list[Record], MarginShares | None]:
    """(explanations of the attribution's dense model and a pruned variant, the margin shares of ``explanation`` or of
    the newest). Raises Problem 422 for an unknown explanation, and without one if ``by`` needs it; ``field`` is the
    name of its query parameter."""
    reference = None if variant is None else opened.store.models[opened.store.variants.index(variant)]
    records = [] if reference is None else offered(stores, opened.spec["dense"], reference)
    shares = shares_from(stores, records, (opened.store.layers, opened.store.neurons), explanation)
    if shares is None and by == "margin":
        message = "no explanation of these two models was made; start a job of the kind explain to have margin shares"
        raise bad_field(field, by, None, message)
    return records, shares


def with_margin(row: NeuronRow, shares: MarginShares | None) -> NeuronRow:
    """A neuron's row with its margin share, if there is an explanation."""
    if shares is None:
        return row
    place = row.layer, row.neuron
    return row.model_copy(update={"margin_share": float(shares.share[place]), "margin_rank": int(shares.rank[place])})


def _controls(opened: OpenAttribution) -> list[ControlsRow]:
    found = [(variant, opened.tables.controls(variant.name)) for variant in opened.variants[1:]]
    return [
        ControlsRow(variant=variant, placebo=placebo_draws(opened.tables, variant.name, groups), **dict(groups))
        for variant, groups in found
        if groups is not None
    ]


def _causal(opened: OpenAttribution) -> CausalDocument | None:
    """The results of the causal stage, in the order of the variants; None if the attribution had no causal stage."""
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
    return CausalDocument(**found.model_dump(include={*CausalSetup.model_fields}), variants=rows)
