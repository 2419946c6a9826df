"""The page of a layer: neurons x tokens in the dense model, a pruned one, and their difference."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.neurons.documents import HeatRow, LayerHeatmap
from prunescope.server.neurons.tokens import difference_legend, magnitude_legend, scales_of
from prunescope.server.neurons.view import ACTIVATIONS, View, example_picker, transformed, view_state
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.palette import Scale, difference_shade, magnitude_shade
from prunescope.server.site.parts import Href, Legend, Moves, Option, Picker, Step
from prunescope.text.pieces import drawn

ROWS = 16


@dataclass(frozen=True)
class Grid:
    """Neurons x tokens in one of the three panes: ``cells[row][token]`` is a css class, empty for special tokens."""

    key: str
    title: str
    subtitle: str
    cells: list[list[str]]
    legend: Legend


@dataclass(frozen=True)
class LayerPage:
    """The context of ``neurons/layer.html``."""

    frame: Frame
    document: LayerHeatmap
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    moves: tuple[Moves, ...]
    heads: list[str]  # the tokens as column heads
    neuron_hrefs: list[str]  # by row
    grids: list[Grid]
    data: dict[str, object]


def layer_page(document: LayerHeatmap, view: View, frame: Frame, *, here: str, activation: str) -> LayerPage:
    """The context of a layer's page. ``activation`` is the attribution's own, ``here`` the page's path."""
    default = View(example=0, variant=document.variants[1].name, activation=activation)
    dense, pruned = document.variants[0], next(each for each in document.variants if each.name == view.variant)
    state: dict[str, urls.State] = {
        **view_state(view, default),
        "sort": document.sort if document.sort != "rank" else None,
        "cursor": document.cursor or None,
    }

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **{**state, **changes})

    values = {
        "dense": [[transformed(value, view.activation) for value in row.values[dense.name]] for row in document.rows],
        "pruned": [[transformed(value, view.activation) for value in row.values[pruned.name]] for row in document.rows],
    }
    values["difference"] = [
        [after - before for before, after in zip(*pair, strict=True)]
        for pair in zip(values["dense"], values["pruned"], strict=True)
    ]
    usual = [place for place, token in enumerate(document.tokens) if not token.special]
    pairs = (
        (before[i], after[i]) for before, after in zip(values["dense"], values["pruned"], strict=True) for i in usual
    )
    scales = dict(zip(values, scales_of(pairs, view), strict=True))
    subtitles = {"dense": dense.label, "pruned": pruned.label, "difference": formats.AGAINST_DENSE}
    return LayerPage(
        frame=frame,
        document=document,
        toggles=() if frame.shared else _toggles(document, view, href),
        menus=() if frame.shared else _menus(document, view, href, pruned.label),
        moves=() if frame.shared else _moves(document, state),
        heads=[drawn(token.token).strip(" ").replace("\n", "↵") or "↵" for token in document.tokens],
        neuron_hrefs=[_neuron_href(row, view, default) for row in document.rows],
        grids=[
            _grid(key, subtitles[key], values[key], scales[key], document, view)
            for key in values
            if view.pane in {"all", key}
        ]
        if document.rows
        else [],
        data={
            "tokens": [[formats.token_name(token.token), token.token_id] for token in document.tokens],
            "names": [row.neuron.name for row in document.rows],
            "dense": [[round(value, 6) for value in row] for row in values["dense"]],
            "pruned": [[round(value, 6) for value in row] for row in values["pruned"]],
        },
    )


def _grid(key: str, subtitle: str, values: list[list[float]], scale: Scale, document: LayerHeatmap, view: View) -> Grid:
    shade = difference_shade if key == "difference" else magnitude_shade
    legend = difference_legend(scale) if key == "difference" else magnitude_legend(scale, view.activation)
    cells = [
        ["" if token.special else shade(value, scale) for token, value in zip(document.tokens, row, strict=True)]
        for row in values
    ]
    return Grid(key, key.capitalize(), subtitle, cells, legend)


def _neuron_href(row: HeatRow, view: View, default: View) -> str:
    """The neuron's page with the same example, variant and scale."""
    state = {**view_state(view.with_changes(pane="all"), default), "example": view.example}
    return urls.with_state(row.neuron.href, **state)


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
