"""Contexts of two pages: the comparison of two attributions, and the list of comparable attributions."""

from dataclasses import dataclass, replace

from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.comparisons.documents import (
    ComparableAttributions,
    ComparisonDocument,
    LayerComparison,
    NeuronBeside,
    NeuronPair,
)
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.palette import Scale, magnitude_shade
from prunescope.server.site.parts import Legend, Picker, picker
from prunescope.text.pieces import drawn


@dataclass(frozen=True)
class ComparisonPage:
    """The context of ``comparisons/comparison.html``."""

    frame: Frame
    document: ComparisonDocument
    top_picker: Picker
    other_href: str
    layers_data: dict[str, object]
    scores_data: dict[str, object]


@dataclass(frozen=True)
class ComparablePage:
    """The context of ``comparisons/choice.html``."""

    frame: Frame
    document: ComparableAttributions
    start_href: str  # form for a new attribution of the same dense model


def comparison_page(document: ComparisonDocument, frame: Frame, here: str) -> ComparisonPage:
    """Return the context of a comparison's page. ``here`` is the path in the browser: the page's, or a share link's."""
    sizes = {top: top.replace("%", f"{formats.SPACE}%") for top in document.tops}
    tops = picker("Neurons of each layer", sizes, document.top, lambda top: urls.with_state(here, top=top))
    return ComparisonPage(
        frame=frame,
        document=document,
        top_picker=replace(tops, shown=f"Best {tops.shown} of each layer"),
        other_href=urls.comparisons(document.first.id),
        layers_data=_layers_data(document),
        scores_data=_scores_data(document),
    )


def _layers_data(document: ComparisonDocument) -> dict[str, object]:
    overlaps = [row.overlap for row in document.layer_list]
    return {
        "layers": [f"L{row.layer}" for row in document.layer_list],
        "shared": [found.shared for found in overlaps],
        "expected": [found.expected for found in overlaps],
        "low": [found.low for found in overlaps],
        "high": [found.high for found in overlaps],
        "labels": [_label(row) for row in document.layer_list],
        "hrefs": [row.first_href for row in document.layer_list],
    }


def _label(row: LayerComparison) -> str:
    """The tooltip of a layer's point in the chart."""
    found = row.overlap
    lines = (
        f"Layer {row.layer}",
        f"{found.shared} of {min(found.first, found.second)} shared",
        f"by chance {formats.about(found.expected)} ({formats.count(found.low)} to {formats.count(found.high)})",
        f"p {formats.probability(found.p)}, q {formats.probability(row.q)}",
    )
    return "<br>".join(lines)


def _scores_data(document: ComparisonDocument) -> dict[str, object]:
    rows = document.shared_neurons
    return {
        "x": [row.first.score for row in rows],
        "y": [row.second.score for row in rows],
        "labels": [
            f"{row.name}<br>first {formats.decimal(row.first.score)}, rank {formats.count(row.first.rank)}<br>"
            f"second {formats.decimal(row.second.score)}, rank {formats.count(row.second.rank)}"
            for row in rows
        ],
        "hrefs": [row.first.href for row in rows],
        "xTitle": "Score in the first",
        "yTitle": "Score in the second",
    }


@dataclass(frozen=True)
class ShadedText:
    """The text of one neuron, shaded by its activations in one variant: for each token its css classes and text, and
    its value for the tooltip."""

    title: str
    cells: list[tuple[str, str, str]]


@dataclass(frozen=True)
class NeuronSide:
    """One of the two neurons with its texts, on one scale, which `legend` explains."""

    neuron: NeuronBeside
    texts: list[ShadedText]
    legend: Legend


@dataclass(frozen=True)
class PairPage:
    """The context of ``comparisons/beside.html``. ``others``: id -> label of the attributions from which the other
    neuron can be; ``of`` is the chosen one."""

    frame: Frame
    document: NeuronPair
    sides: list[NeuronSide]
    others: dict[str, str]
    of: str | None
    texts: dict[int, str]  # index -> label of the texts of the first neuron's attribution
    variant: str | None


def pair_page(
    document: NeuronPair,
    frame: Frame,
    others: dict[str, str],
    of: str | None,
    opened: OpenAttribution,
    variant: str | None,
) -> PairPage:
    """The context of the page of a neuron beside another one."""
    sides = [_side(neuron) for neuron in (document.first, document.second) if neuron is not None]
    texts = {text.index: f"{number} · {text.label or 'no label'}" for number, text in enumerate(opened.examples, 1)}
    return PairPage(frame, document, sides, others, of, texts, variant)


def _side(neuron: NeuronBeside) -> NeuronSide:
    shown = [
        abs(value)
        for values in (neuron.dense, neuron.pruned)
        for value, dimmed in zip(values, neuron.dimmed, strict=True)
        if not dimmed
    ]
    scale = Scale(max(shown, default=0.0))
    texts = [
        ShadedText(title, _cells(neuron, values, scale))
        for title, values in (("Dense", neuron.dense), (neuron.variant.label, neuron.pruned))
    ]
    ends = formats.activation(-scale.top), formats.activation(scale.top)
    return NeuronSide(neuron, texts, Legend(ends[0], "0", ends[1], "signed-ramp"))


def _cells(neuron: NeuronBeside, values: list[float], scale: Scale) -> list[tuple[str, str, str]]:
    return [
        (
            " ".join(["t", *(["s"] if dimmed else [magnitude_shade(value, scale)]), *(["i"] if influential else [])]),
            drawn(token),
            formats.activation(value),
        )
        for token, influential, dimmed, value in zip(
            neuron.tokens, neuron.influential, neuron.dimmed, values, strict=True
        )
    ]
