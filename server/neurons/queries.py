"""Neurons: the list, and the document of one, which is the paper's Figure 1."""

from typing import Literal

from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.documents import AnsweringNeuron, NeuronRow
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.neurons.documents import Controls, Neighbour, Neighbours, NeuronDocument, NeuronWord, Variant
from prunescope.server.site.documents import Page, Window
from prunescope.store.attributions import tables as attribution_tables
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.text.words import fold

MAX_LISTED = 500


def neuron_list(
    opened: OpenAttribution,
    *,
    layer: int | None = None,
    word: str | None = None,
    sort: Literal["rank", "drop"] = "rank",
    variant: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[NeuronRow]:
    """The ranked neurons, best Score or largest drop first; of one layer, or matched to one word."""
    window = Window.parse(cursor, limit, MAX_LISTED)
    opened.check_layer(layer)
    try:
        rows, total = opened.tables.neurons(
            layer=layer,
            word=word,
            sort=sort,
            variant=opened.variant(variant),
            offset=window.offset,
            limit=window.limit,
        )
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    after = window.after(total)
    state: dict[str, urls.State] = {"layer": layer, "word": word, "sort": sort, "variant": variant, "limit": limit}
    href = urls.neurons(opened.id, **state, cursor=after) if after else None
    return Page[NeuronRow](items=[opened.row(row) for row in rows], next=after, next_href=href)


def answering_neurons(
    opened: OpenAttribution,
    *,
    word: str | None = None,
    example: int | None = None,
    token: int | None = None,
    layer: int | None = None,
) -> Page[AnsweringNeuron]:
    """The neurons with the largest shares of their activation on a word, or on token ``token`` of example ``example``.

    Problem 422 for neither or both of them, and for a word that the attribution does not have; 404 for a layer.
    """
    if (word is None) == (token is None):
        choices = ["word", "example and token"]
        raise bad_field("word", word, choices, "give either a word, or an example and the place of a token in it")
    opened.check_layer(layer)
    try:
        if word is not None:
            known = opened.tables.words_list
            if fold(word) not in {fold(each) for each in known}:
                raise bad_field("word", word, known, unknown_name(word, known))
            found = opened.tables.answering(word=word, layer=layer)
        else:
            found = opened.tables.answering(token=_along_all(opened, example, token), layer=layer)
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    return Page[AnsweringNeuron](
        items=[AnsweringNeuron(**opened.row(row).model_dump(), share=row.share) for row in found]
    )


def _along_all(opened: OpenAttribution, example: int | None, token: int | None) -> int:
    """The place of an example's token along all examples."""
    span = opened.store.spans[opened.place_of(opened.examples[0].index if example is None else example)]
    last = span.stop - span.start - 1
    if token is None or not 0 <= token <= last:
        raise bad_field("token", token, f"0 to {last}", f"{token} is not between 0 and {last}")
    place: int = span.start + token
    return place


def neuron_document(opened: OpenAttribution, layer: int, neuron: int) -> NeuronDocument:
    """Everything about one neuron; reads one chunk of each variant. Problem 404 when there is no such neuron."""
    store, tables = opened.store, opened.tables
    try:
        values = store.neuron(layer, neuron)
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    detail = tables.neuron(layer, neuron)
    variants = [
        Variant(
            name=variant.name,
            model=variant.model,
            label=variant.label,
            href=variant.href,
            activations=[values[variant.name][span].tolist() for span in store.spans],
        )
        for variant in opened.variants
    ]
    summary = opened.summary
    return NeuronDocument(
        attribution=opened.id,
        layer=layer,
        neuron=neuron,
        score=detail.score,
        rank=detail.rank,
        p_value=detail.p_value,
        word=detail.word,
        masked_fraction=detail.masked_fraction,
        examples=opened.examples,
        variants=variants,
        name=f"L{layer}/N{neuron}",
        label=opened.label,
        href=urls.neuron(opened.id, layer, neuron),
        attribution_href=urls.attribution(opened.id),
        layer_href=urls.layer(opened.id, layer),
        lift=detail.lift,
        q_value=detail.q_value,
        permutations=summary.permutations,
        layers=opened.layers,
        neurons=store.neurons,
        neuron_count=summary.ranked,
        not_ranked=None if detail.rank is not None else _why_not_ranked(summary),
        activation=summary.activation,
        words=[NeuronWord(word=w.word, values=w.activations, drop=w.drops) for w in detail.words],
        drops=detail.drops,
        intervals=detail.intervals,
        spread=detail.spread,
        masked_fractions=detail.masked_fractions,
        controls=_controls(opened, detail),
        neighbours=_neighbours(opened, layer, neuron, detail.rank),
        heatmaps={form: urls.heatmap(opened.id, layer, neuron, form) for form in urls.HEATMAP_FORMS},
        provenance=opened.provenance,
    )


def no_such_neuron(error: NoSuchNeuron) -> Problem:
    """404 that gives the limits."""
    return Problem(404, "not-found", "No such neuron", str(error))


def _why_not_ranked(summary: attribution_tables.Summary) -> str:
    return (
        f"The sum of its {summary.activation} activations over all tokens is too close to zero for a share of it to "
        "mean anything: it lies under its layer's floor."
    )


def _controls(opened: OpenAttribution, detail: attribution_tables.NeuronDetail) -> dict[str, Controls]:
    rows = {}
    for name in opened.store.variants[1:]:
        groups = opened.tables.controls(name)
        if groups is not None:
            rows[name] = Controls(
                drop=detail.drops[name],
                interval=detail.intervals[name],
                matched=groups.matched,
                like_activation=groups.like,
                random=groups.random,
            )
    return rows


def _neighbours(opened: OpenAttribution, layer: int, neuron: int, rank: int | None) -> Neighbours:
    layers = opened.layers
    place = layers.index(layer)

    def at(layer: int, neuron: int) -> Neighbour:
        href = urls.neuron(opened.id, layer, neuron)
        return Neighbour(layer=layer, neuron=neuron, name=f"L{layer}/N{neuron}", href=href)

    def ranked(rank: int) -> Neighbour | None:
        found = opened.tables.at_rank(rank)
        return at(*found) if found else None

    return Neighbours(
        previous=at(layer, neuron - 1) if neuron > 0 else None,
        next=at(layer, neuron + 1) if neuron + 1 < opened.store.neurons else None,
        layer_up=at(layers[place + 1], neuron) if place + 1 < len(layers) else None,
        layer_down=at(layers[place - 1], neuron) if place > 0 else None,
        previous_in_rank=ranked(rank - 1) if rank is not None else None,
        # From a neuron without a rank the ranking starts at its top.
        next_in_rank=ranked(rank + 1) if rank is not None else ranked(1),
    )
