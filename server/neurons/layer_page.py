"""Context of a layer's page: heatmaps (neurons x tokens) of the dense model, a pruned one, and their difference."""

from dataclasses import dataclass, replace
from typing import Any

from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.neurons.documents import LayerHeatmap, LayerSort
from prunescope.server.neurons.scales import PANE_TERMS, legend_of, scales_of
from prunescope.server.neurons.view import (
    ACTIVATIONS,
    CURVES,
    PANES,
    SCALES,
    View,
    example_picker,
    transformed,
    variant_picker,
    view_state,
)
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.palette import Scale, difference_shade, magnitude_shade
from prunescope.server.site.parts import Legend, Picker, picker
from prunescope.text.pieces import drawn

ROWS = 16
SORTS: dict[LayerSort, str] = {"rank": "By Score", "drop": "By drop", "margin": "By margin share"}


@dataclass(frozen=True)
class Grid:
    """One of the three heatmaps: ``cells[row][token]`` is a css class, empty for special tokens and sinks."""

    key: str
    subtitle: str
    cells: list[list[str]]
    legend: Legend

    @property
    def term(self) -> str:
        """The word of the glossary that defines the values."""
        return PANE_TERMS[self.key]


@dataclass(frozen=True)
class LayerPage:
    """The context of ``neurons/layer.html``. ``up`` and ``down`` are the addresses of the next layers, ``better`` and
    ``further`` of the neurons before and after the shown ones; None if there are none."""

    frame: Frame
    document: LayerHeatmap
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    up: str | None
    down: str | None
    better: str | None
    further: str | None
    heads: list[str]  # the tokens as column heads
    neuron_query: str  # query of links to neurons: example, variant, scale
    own: float | None  # share of the change in the shown variant by the layer's own weights
    grids: list[Grid]
    data: dict[str, object]


def layer_page(opened: OpenAttribution, document: LayerHeatmap, view: View, frame: Frame, here: str) -> LayerPage:
    """The context of a layer's page. ``here`` is the path in the browser: the page's, or a share link's."""
    default = View(example=0, variant=document.variants[1].name, activation=opened.summary.activation)
    dense, pruned = document.variants[0], next(each for each in document.variants if each.name == view.variant)

    def state(*, sort: str = document.sort, cursor: int = document.cursor, **changes: Any) -> dict[str, urls.State]:
        return {
            **view_state(replace(view, **changes), default),
            "sort": sort if sort != "rank" else None,
            "cursor": cursor or None,
        }

    def href(**changes: Any) -> str:
        return urls.with_state(here, **state(**changes))

    def layer_href(place: int) -> str | None:
        known = 0 <= place < len(document.layers)
        return urls.layer(opened.id, document.layers[place], **state(cursor=0)) if known else None

    values = {
        key: [[transformed(value, view.activation) for value in row.values[variant.name]] for row in document.rows]
        for key, variant in (("dense", dense), ("pruned", pruned))
    }
    values["difference"] = [
        [after - before for before, after in zip(*pair, strict=True)]
        for pair in zip(values["dense"], values["pruned"], strict=True)
    ]
    usual = [place for place, token in enumerate(document.tokens) if not (token.special or token.sink)]
    pairs = (
        (before[i], after[i]) for before, after in zip(values["dense"], values["pruned"], strict=True) for i in usual
    )
    subtitles = (dense.label, pruned.label, formats.AGAINST_DENSE)
    panes = zip(values, subtitles, scales_of(pairs, view), strict=True)
    size = max(1, len(document.rows))
    place = document.layers.index(document.layer)
    return LayerPage(
        frame=frame,
        document=document,
        toggles=(
            picker("What is shown", PANES, view.show, lambda show: href(show=show)),
            picker(
                "Order",
                {sort: SORTS[sort] for sort in document.orders},
                document.sort,
                lambda sort: href(sort=sort, cursor=0),
            ),
            picker("Scale", SCALES, view.scale, lambda scale: href(scale=scale)),
            picker("Curve", CURVES, view.curve, lambda curve: href(curve=curve)),
        ),
        menus=(
            example_picker(
                document.examples, document.example, lambda example: href(example=example.index, token=None)
            ),
            picker(
                "Layer",
                {layer: f"Layer {layer}" for layer in document.layers},
                document.layer,
                lambda layer: urls.layer(opened.id, layer, example=document.example or None),
            ),
            picker(
                "Activation",
                {name: name for name in ACTIVATIONS},
                view.activation,
                lambda name: urls.with_state(here, **{**state(), "activation": name}),
            ),
            *variant_picker(document.variants, view.variant, lambda variant: href(variant=variant)),
        ),
        up=layer_href(place + 1),
        down=layer_href(place - 1),
        better=href(cursor=max(0, document.cursor - size)) if document.previous else None,
        further=href(cursor=document.cursor + size) if document.next else None,
        heads=[drawn(token.token).strip(" ").replace("\n", "↵") or "↵" for token in document.tokens],
        neuron_query=urls.with_state("", **{**view_state(replace(view, show="all"), default), "example": view.example}),
        own=document.own.get(view.variant),
        grids=[
            _grid(key, subtitle, values[key], scale, document, view)
            for key, subtitle, scale in panes
            if document.rows and view.show in {"all", key}
        ],
        data={
            "tokens": [[formats.token_name(token.token), token.token_id] for token in document.tokens],
            "names": [row.neuron.name for row in document.rows],
            "dense": [[round(value, 6) for value in row] for row in values["dense"]],
            "pruned": [[round(value, 6) for value in row] for row in values["pruned"]],
        },
    )


def _grid(key: str, subtitle: str, values: list[list[float]], scale: Scale, document: LayerHeatmap, view: View) -> Grid:
    shade = difference_shade if key == "difference" else magnitude_shade
    legend = legend_of(scale, None if key == "difference" else view.activation)
    cells = [
        [
            "" if token.special or token.sink else shade(value, scale)
            for token, value in zip(document.tokens, row, strict=True)
        ]
        for row in values
    ]
    return Grid(key, subtitle, cells, legend)
