"""Neurons x tokens of one layer."""

from typing import Literal

import numpy as np

from prunescope.server import urls
from prunescope.server.attributions.documents import HeatRow, LayerHeatmap, TokenDocument
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.neurons.queries import no_such_neuron
from prunescope.server.site.documents import Link, Window
from prunescope.store.attributions.activations import NoSuchNeuron

MAX_ROWS = 200
MAX_VALUES = 1_000_000
"""Neurons x tokens x models of one answer: some 20 MB of JSON."""


def layer_heatmap(
    opened: OpenAttribution,
    layer: int,
    *,
    example: int | None = None,
    sort: Literal["rank", "drop"] = "rank",
    neurons: int = 32,
    cursor: str | None = None,
) -> LayerHeatmap:
    """The layer's ranked neurons, ``neurons`` at a time, over the tokens of one example. Problem 404 or 422."""
    number = 0 if example is None else opened.place_of(example)
    window = Window.parse(cursor, neurons, most_rows(opened, example), field="neurons")
    try:
        ranked, total = opened.tables.neurons(layer=layer, sort=sort, offset=window.offset, limit=window.limit)
        values = opened.store.layer(layer, [row.neuron for row in ranked])
    except NoSuchNeuron as error:
        raise no_such_neuron(error) from None
    span = opened.store.spans[number]
    cut = {name: array[:, span] for name, array in values.items()}
    dense = cut[opened.store.variants[0]]
    differences = [array - dense for array in cut.values()]
    text = opened.examples[number]
    state: dict[str, urls.State] = {"example": example, "sort": None if sort == "rank" else sort}
    sized = {**state, "neurons": None if neurons == 32 else neurons}
    place = opened.layers.index(layer)
    after = window.after(total)
    before = max(0, window.offset - window.limit)
    return LayerHeatmap(
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        layer=layer,
        layers=opened.layers,
        example=text.index,
        examples=opened.example_summaries,
        sort=sort,
        tokens=[
            TokenDocument(position=i, token=token, token_id=id, influential=influential, special=special)
            for i, (token, id, influential, special) in enumerate(
                zip(text.tokens, text.token_ids, text.influential, text.special, strict=True)
            )
        ],
        variants=opened.variants,
        rows=[
            HeatRow(neuron=opened.row(row), values={name: array[i].tolist() for name, array in cut.items()})
            for i, row in enumerate(ranked)
        ],
        largest=_largest(list(cut.values())),
        largest_difference=_largest(differences),
        cursor=window.offset,
        previous=urls.layer(opened.id, layer, **sized, cursor=before or None) if window.offset else None,
        next=urls.layer(opened.id, layer, **sized, cursor=after) if after else None,
        layer_up=urls.layer(opened.id, opened.layers[place + 1], **sized) if place + 1 < len(opened.layers) else None,
        layer_down=urls.layer(opened.id, opened.layers[place - 1], **sized) if place > 0 else None,
        href=urls.layer(opened.id, layer, **sized, cursor=window.offset or None),
    )


def most_rows(opened: OpenAttribution, example: int | None) -> int:
    """How many neurons over the tokens of this example, in all models, make one answer."""
    tokens = len(opened.examples[0 if example is None else opened.place_of(example)].tokens)
    return min(MAX_ROWS, max(1, MAX_VALUES // (tokens * len(opened.variants))))


def _largest(arrays: list[np.ndarray]) -> float:
    return max((float(np.abs(array).max()) for array in arrays if array.size), default=0.0)
