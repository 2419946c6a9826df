"""The layer page: neurons x tokens, dense, pruned and their difference."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.neurons.documents import HeatRow, LayerHeatmap, TokenDocument
from prunescope.server.neurons.tokens import difference_legend, magnitude_legend, scales_of
from prunescope.server.neurons.view import ACTIVATIONS, View, example_picker, transformed, view_state
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.palette import Scale, difference_shade, magnitude_shade
from prunescope.server.site.parts import Href, Legend, Moves, Option, Picker, Step
from prunescope.text.pieces import drawn

ROWS = 16
TITLES = {"dense": "Dense", "pruned": "Pruned", "difference": "Difference"}


@dataclass(frozen=True)
class TokenHead:
    css: str
    text: str


@dataclass(frozen=True)
class GridRow:
    name: str
    href: str
    note: str
    cells: tuple[str, ...]  # css classes


@dataclass(frozen=True)
class Grid:
    key: str
    title: str
    subtitle: str
    rows: tuple[GridRow, ...]
    legend: Legend


@dataclass(frozen=True)
class LayerPage:
    """The context of ``neurons/layer.html``."""

    frame: Frame
    title: str
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    moves: tuple[Moves, ...]
    heads: tuple[TokenHead, ...]
    grids: tuple[Grid, ...]
    shown: str
    data: dict[str, object]


def layer_page(document: LayerHeatmap, view: View, frame: Frame, *, here: str, activation: str) -> LayerPage:
    """``activation`` is the attribution's own; ``here`` the page's own path, or the share link's."""
    default = View(example=0, variant=document.variants[1].name, activation=activation)
    dense, pruned = document.variants[0], next(each for each in document.variants if each.name == view.variant)
    state: dict[str, urls.State] = {
        **view_state(view, default),
        "sort": document.sort if document.sort != "rank" else None,
        "cursor": document.cursor or None,
    }

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **{**state, **changes})

    values = [_values(row, dense.name, pruned.name, view.activation) for row in document.rows]
    usual = [place for place, token in enumerate(document.tokens) if not token.special]
    scales = scales_of(((before[i], after[i]) for before, after in values for i in usual), view)
    links = [_neuron_href(row, view, default) for row in document.rows]
    keys = [key for key in TITLES if view.pane in {"all", key}]
    return LayerPage(
        frame=frame,
        title=f"Layer {document.layer}",
        toggles=() if frame.shared else _toggles(document, view, href),
        menus=() if frame.shared else _menus(document, view, href, pruned.label),
        moves=() if frame.shared else _moves(document, state),
        heads=tuple(_head(token) for token in document.tokens),
        grids=tuple(
            Grid(
                key,
                TITLES[key],
                {"dense": dense.label, "pruned": pruned.label, "difference": formats.AGAINST_DENSE}[key],
                tuple(
                    _row(row, link, key, each, document.tokens, scales)
                    for row, link, each in zip(document.rows, links, values, strict=True)
                ),
                {
                    "dense": magnitude_legend(scales[0], view.activation),
                    "pruned": magnitude_legend(scales[1], view.activation),
                    "difference": difference_legend(scales[2]),
                }[key],
            )
            for key in keys
        ),
        shown=f"neurons {document.cursor + 1} to {document.cursor + len(document.rows)} of the layer's ranking",
        data={
            "tokens": [[formats.token_name(token.token), token.token_id] for token in document.tokens],
            "names": [row.neuron.name for row in document.rows],
            "dense": [[round(value, 6) for value in each[0]] for each in values],
            "pruned": [[round(value, 6) for value in each[1]] for each in values],
        },
    )


def _values(row: HeatRow, dense: str, pruned: str, activation: str) -> tuple[list[float], list[float]]:
    before = [transformed(value, activation) for value in row.values[dense]]
    after = [transformed(value, activation) for value in row.values[pruned]]
    return before, after


def _row(
    row: HeatRow,
    href: str,
    key: str,
    values: tuple[list[float], list[float]],
    tokens: list[TokenDocument],
    scales: tuple[Scale, ...],
) -> GridRow:
    before, after = values
    match key:
        case "dense":
            shades = [magnitude_shade(value, scales[0]) for value in before]
        case "pruned":
            shades = [magnitude_shade(value, scales[1]) for value in after]
        case _:
            shades = [difference_shade(b - a, scales[2]) for a, b in zip(before, after, strict=True)]
    cells = tuple("" if token.special else shade for token, shade in zip(tokens, shades, strict=True))
    note = f"rank {formats.count(row.neuron.rank)}" if row.neuron.rank else "not ranked"
    return GridRow(row.neuron.name, href, note, cells)


def _neuron_href(row: HeatRow, view: View, default: View) -> str:
    """The neuron as it is seen here: same example, variant and scale."""
    state = {**view_state(view.with_changes(pane="all"), default), "example": view.example}
    return urls.with_state(row.neuron.href, **state)


def _head(token: TokenDocument) -> TokenHead:
    marks = ["token", *(mark for mark, on in (("i", token.influential), ("s", token.special)) if on)]
    return TokenHead(" ".join(marks), drawn(token.token).strip(" ").replace("\n", "↵") or "↵")


def _toggles(document: LayerHeatmap, view: View, href: Href) -> tuple[Picker, ...]:
    def toggle(label: str, key: str, now: str, values: tuple[tuple[str, str], ...]) -> Picker:
        first = values[0][0]
        options = (
            Option(name, href(**{key: None if value == first else value}), value == now) for value, name in values
        )
        return Picker(label, "", tuple(options))

    panes = (("all", "All three"), ("dense", "Dense"), ("pruned", "Pruned"), ("difference", "Difference"))
    sorts = tuple(
        Option(name, href(sort=None if value == "rank" else value, cursor=None), value == document.sort)
        for value, name in (("rank", "By Score"), ("drop", "By drop"))
    )
    return (
        toggle("What is shown", "show", view.pane, panes),
        Picker("Order", "", sorts),
        toggle("Scale", "scale", view.scale, (("shared", "Shared scale"), ("model", "Per model"))),
        toggle("Curve", "curve", view.curve, (("linear", "Linear"), ("log", "Log"))),
    )


def _menus(document: LayerHeatmap, view: View, href: Href, pruned: str) -> tuple[Picker, ...]:
    layers = tuple(
        Option(
            f"Layer {layer}",
            urls.layer(_id(document), layer, example=document.example or None),
            layer == document.layer,
        )
        for layer in document.layers
    )
    variants = tuple(
        Option(variant.label, href(variant=variant.name if place else None), variant.name == view.variant)
        for place, variant in enumerate(document.variants[1:])
    )
    activations = tuple(Option(name, href(activation=name), name == view.activation) for name in ACTIVATIONS)
    menus = [
        example_picker(
            document.examples, document.example, lambda example: href(example=example.index or None, token=None)
        ),
        Picker("Layer", f"Layer {document.layer}", layers),
        Picker("Activation", view.activation, activations),
    ]
    if len(variants) > 1:
        menus.append(Picker("Pruned model", pruned, variants))
    return tuple(menus)


def _moves(document: LayerHeatmap, state: dict[str, urls.State]) -> tuple[Moves, ...]:
    kept = {**state, "cursor": None}

    def layer(key: str, sign: str, label: str, to: str | None, by: int) -> Step:
        if to is None:
            return Step(key, sign, f"{label}: there is none", None)
        next_layer = document.layers[document.layers.index(document.layer) + by]
        return Step(key, sign, label, urls.layer(_id(document), next_layer, **kept))

    def rows(key: str, sign: str, label: str, to: str | None, cursor: int) -> Step:
        if to is None:
            return Step(key, sign, f"{label}: there are none", None)
        return Step(key, sign, label, urls.layer(_id(document), document.layer, **{**state, "cursor": cursor or None}))

    size = max(1, len(document.rows))
    return (
        Moves(
            "layer",
            layer("ArrowUp", "▴", "One layer up", document.layer_up, 1),
            layer("ArrowDown", "▾", "One layer down", document.layer_down, -1),
        ),
        Moves(
            "neurons",
            rows("ArrowLeft", "◂", "Better ones", document.previous, max(0, document.cursor - size)),
            rows("ArrowRight", "▸", "Next ones", document.next, document.cursor + size),
        ),
    )


def _id(document: LayerHeatmap) -> str:
    return document.attribution.href.rpartition("/")[2]
