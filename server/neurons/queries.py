"""Builds the documents of neurons: one neuron (Figure 1 of arXiv 2503.01542), a layer's heatmap, and the
neurons of a word or token."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import numpy as np

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.documents import Example
from prunescope.server.attributions.opened import OpenAttribution, no_such_neuron
from prunescope.server.attributions.queries import with_margin
from prunescope.server.explanations.shares import MarginShares, margins_of
from prunescope.server.neurons.documents import (
    AnsweringDocument,
    AnsweringNeuron,
    HeatRow,
    LayerHeatmap,
    LayerSort,
    Neighbour,
    Neighbours,
    NeuronControls,
    NeuronDocument,
    TextNeuron,
    TokenDocument,
    Variant,
)
from prunescope.server.site.documents import Link, Window
from prunescope.server.stores import Stores
from prunescope.store.attributions import documents as kept
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.split import not_split
from prunescope.text.words import fold

SIGNIFICANT = 0.05
"""The q below which a neuron counts as significant on its page."""
CALIBRATED = 3
"""The first format of attributions whose p and q are calibrated."""
MAX_ROWS = 200
MAX_VALUES = 1_000_000
"""Neurons x tokens x variants of one heatmap; about 20 MB of JSON."""


def neuron_document(
    opened: OpenAttribution, layer: int, neuron: int, margins: Mapping[str, Sequence[MarginShares]] | None = None
) -> NeuronDocument:
    """All data of one neuron, read from one chunk of each variant's array, with its margin shares if ``margins`` (from
    `variant_margins`) are given. Problem 404 for an unknown neuron."""
    store, tables = opened.store, opened.tables
    try:
        values = store.neuron(layer, neuron)
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    detail = tables.neuron(layer, neuron)
    own = {name: part for name, part in store.own_of(layer, neuron).items() if np.isfinite(part).all()}
    return NeuronDocument(
        **dict(detail),
        attribution=opened.id,
        examples=opened.examples,
        variants=[
            Variant(
                **dict(variant),
                activations=_by_text(opened, values[variant.name]),
                own=_by_text(opened, own.get(variant.name)),
                divergence=opened.divergence_of(variant.name),
            )
            for variant in opened.variants
        ],
        label=opened.label,
        href=urls.neuron(opened.id, layer, neuron),
        attribution_href=urls.attribution(opened.id),
        layer_href=urls.layer(opened.id, layer),
        placebo=opened.summary.placebo,
        least_p=opened.summary.least_p,
        significant_together=_significant_together(opened.summary),
        cross_fitted=opened.summary.cross_fitted,
        format=opened.store.format,
        permutations=opened.summary.permutations,
        layers=opened.layers,
        neurons=store.neurons,
        neuron_count=opened.summary.ranked,
        masked_means=tables.masked_means,
        not_ranked=None
        if detail.rank is not None
        else f"The sum of its {opened.summary.activation} activations over all tokens is too close to zero for a share "
        "of it to mean anything: it lies under its layer's floor.",
        not_split=not_split(store),
        activation=opened.summary.activation,
        controls=_controls(opened, detail),
        neighbours=_neighbours(opened, layer, neuron, detail.rank),
        margins={name: [each.of(layer, neuron) for each in found] for name, found in (margins or {}).items()},
        heatmaps={form: urls.heatmap(opened.id, layer, neuron, form) for form in urls.HEATMAP_FORMS},
        spec=opened.spec,
        provenance=opened.provenance,
    )


def _significant_together(summary: kept.Summary) -> int | None:
    """Of how many neurons p must be `least_p` for any q below SIGNIFICANT: Benjamini-Hochberg's q is at least `least_p`
    times the number of neurons, divided by the number of those with such a p."""
    return None if summary.least_p is None else math.ceil(summary.ranked * summary.least_p / SIGNIFICANT - 1e-9)


def variant_margins(stores: Stores, opened: OpenAttribution) -> dict[str, list[MarginShares]]:
    """Pruned variant -> the newest explanation of each task and text of the dense model and this variant; variants
    without one are omitted."""
    pruned = opened.spec["pruned"]
    found = margins_of(stores, opened.spec["dense"], pruned, (opened.store.layers, opened.store.neurons))
    named = zip(opened.store.variants[1:], pruned, strict=True)
    return {name: found[reference] for name, reference in named if reference in found}


@overload
def _by_text(opened: OpenAttribution, values: np.ndarray) -> list[list[float]]: ...
@overload
def _by_text(opened: OpenAttribution, values: np.ndarray | None) -> list[list[float]] | None: ...
def _by_text(opened: OpenAttribution, values: np.ndarray | None) -> list[list[float]] | None:
    """Values [tokens] as one list for each example."""
    return None if values is None else [values[span].tolist() for span in opened.store.spans]


def _controls(opened: OpenAttribution, detail: kept.NeuronDetail) -> dict[str, NeuronControls]:
    return {
        name: NeuronControls(
            drop=detail.drops[name],
            interval=detail.intervals[name],
            top=groups.top,
            activation_matched=groups.activation_matched,
            p_activation_matched=groups.p_activation_matched,
            random=groups.random,
        )
        for name in opened.store.variants[1:]
        if (groups := opened.tables.controls(name)) is not None
    }


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
        previous_in_rank=None if rank is None else ranked(rank - 1),
        next_in_rank=ranked(1 if rank is None else rank + 1),
    )


def layer_heatmap(
    opened: OpenAttribution,
    layer: int,
    *,
    example: int | None = None,
    sort: LayerSort = "rank",
    shares: MarginShares | None = None,
    neurons: int = 32,
    cursor: str | None = None,
) -> LayerHeatmap:
    """The activations of up to ``neurons`` ranked neurons of a layer at the tokens of one example (None: the first).
    The order by margin share needs ``shares`` and includes neurons that are not ranked. Problem 404 for a
    layer that was not recorded, 422 for another wrong value."""
    number = 0 if example is None else opened.place_of(example)
    window = Window.parse(cursor, neurons, most_rows(opened, example), field="neurons")
    try:
        ranked, total = opened.tables.neurons(
            layer=layer,
            sort="drop" if sort == "drop" else "rank",
            by=shares.share if shares and sort == "margin" else None,
            offset=window.offset,
            limit=window.limit,
        )
        values = opened.store.layer(layer, [row.neuron for row in ranked])
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    span = opened.store.spans[number]
    cut = {name: array[:, span] for name, array in values.items()}
    dense = cut[opened.store.variants[0]]
    text = opened.examples[number]
    state: dict[str, urls.State] = {
        "example": example,
        "sort": None if sort == "rank" else sort,
        "neurons": None if neurons == 32 else neurons,
    }

    def rows_from(cursor: int | str | None) -> str:
        return urls.layer(opened.id, layer, **state, cursor=cursor or None)

    place = opened.layers.index(layer)
    after = window.after(total)
    return LayerHeatmap(
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        layer=layer,
        layers=opened.layers,
        example=text.index,
        examples=opened.example_summaries,
        sort=sort,
        orders=["rank", "drop", "margin"] if shares else ["rank", "drop"],
        tokens=_tokens(text),
        variants=opened.variants,
        rows=[
            HeatRow(
                neuron=with_margin(opened.row(row), shares),
                values={name: array[i].tolist() for name, array in cut.items()},
            )
            for i, row in enumerate(ranked)
        ],
        largest=_largest(cut.values()),
        largest_difference=_largest(array - dense for array in cut.values()),
        own=_own_of_layer(opened, layer),
        cursor=window.offset,
        previous=rows_from(max(0, window.offset - window.limit)) if window.offset else None,
        next=rows_from(after) if after else None,
        layer_up=urls.layer(opened.id, opened.layers[place + 1], **state) if place + 1 < len(opened.layers) else None,
        layer_down=urls.layer(opened.id, opened.layers[place - 1], **state) if place > 0 else None,
        href=rows_from(window.offset),
    )


def _own_of_layer(opened: OpenAttribution, layer: int) -> dict[str, float | None]:
    splits = {variant: opened.tables.split(variant) for variant in opened.store.variants[1:]}
    return {
        variant: row.own
        for variant, split in splits.items()
        if split is not None
        for row in split.layers
        if row.layer == layer
    }


def most_rows(opened: OpenAttribution, example: int | None) -> int:
    """The maximum number of neurons in a heatmap of this example, at most `MAX_VALUES` values in all variants."""
    tokens = len(opened.examples[0 if example is None else opened.place_of(example)].tokens)
    return min(MAX_ROWS, max(1, MAX_VALUES // (tokens * len(opened.variants))))


def _largest(arrays: Iterable[np.ndarray]) -> float:
    return max((float(np.abs(array).max()) for array in arrays if array.size), default=0.0)


def answering_document(
    opened: OpenAttribution,
    *,
    word: str | None = None,
    example: int | None = None,
    token: int | None = None,
    layer: int | None = None,
) -> AnsweringDocument:
    """The neurons of a word, or of the token at position ``token`` of ``example``, in all layers or in ``layer``.

    ``example`` None is the first example with the word, or the first example for a token. Problem 422 for neither or
    both of word and token, and for an unknown word, example, token or layer.
    """
    if (word is None) == (token is None):
        choices = ["word", "example and token"]
        raise bad_field("word", word, choices, "give either a word, or an example and the place of a token in it")
    opened.check_layer(layer)
    known = {fold(each): each for each in opened.tables.words_list}
    if word is not None and fold(word) not in known:
        raise bad_field("word", word, [*known.values()], unknown_name(word, [*known.values()]))
    spelled = None if word is None else known[fold(word)]
    place = _first_with(opened, spelled) if example is None else opened.place_of(example)
    text = opened.examples[place]
    tokens = _tokens(text)
    if token is None:
        found = opened.tables.answering(word=spelled, layer=layer)
    elif 0 <= token < len(tokens):
        found = opened.tables.answering(token=opened.store.spans[place].start + token, layer=layer)
    else:
        allowed = f"0 to {len(tokens) - 1}"
        raise bad_field("token", token, allowed, f"{token} is not between 0 and {len(tokens) - 1}")
    return AnsweringDocument(
        items=[AnsweringNeuron(**dict(opened.row(row)), share=share) for row, share in found],
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        word=spelled,
        example=text.index,
        token=None if token is None else tokens[token],
        layer=layer,
        layers=opened.layers,
        words=opened.tables.words_list,
        examples=opened.example_summaries,
        tokens=tokens,
        text_neurons=[
            TextNeuron(
                **dict(opened.row(row)), activations=opened.tables.activations_in_text(row.layer, row.neuron, place)
            )
            for row in opened.tables.of_text(place, layer=layer)
        ],
        recorded=opened.store.format >= 2,
        href=urls.answering(opened.id, word=spelled, example=example, token=token, layer=layer),
    )


def _first_with(opened: OpenAttribution, word: str | None) -> int:
    """The position of the first example with this influential word; 0 for None."""
    if word is None:
        return 0
    found = (i for i, text in enumerate(opened.examples) if any(fold(each.word) == fold(word) for each in text.words))
    return next(found, 0)


def _tokens(text: Example) -> list[TokenDocument]:
    columns = zip(text.tokens, text.token_ids, text.influential, text.special, text.sinks, strict=True)
    return [
        TokenDocument(position=position, token=token, token_id=id, influential=influential, special=special, sink=sink)
        for position, (token, id, influential, special, sink) in enumerate(columns)
    ]
