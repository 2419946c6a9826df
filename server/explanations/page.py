"""Contexts of the list of explanations and of one explanation's page."""

import json
from dataclasses import dataclass
from html import escape

from prunescope.server import urls
from prunescope.server.explanations.documents import ExplanationDocument, ExplanationSummary
from prunescope.server.site import formats
from prunescope.server.site.colour_map import ColourMap, MapCell, colour_map
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker
from prunescope.store.explanations.documents import RANKINGS, Auc, LostPoint, Point

CURVES = {"margin": "Margin restored", "right": "Rows right again"}
"""Value of the parameter ``curve`` -> its name."""
RANKING_NAMES = {
    "margin": "margin share",
    "content": "content share",
    "change": "change × output norm",
    "activation": "activation × output norm",
    "score": "Score",
    "drop": "drop",
    "random": "random",
}
"""Ranking -> its name on the page; the names with a definition are words of the glossary."""
HEADLINE_PART = 0.015
"""The page's first sentence is about the largest measured number of neurons up to this share of all."""


@dataclass(frozen=True)
class Headline:
    """The best neurons, up to HEADLINE_PART of all, beside as many chosen in other ways."""

    margin: Point
    random: Point | None
    score: Point | None
    part: float  # share of all neurons

    @property
    def unclear(self) -> bool:
        """Whether the interval of the best neurons includes what random ones restore."""
        return self.random is not None and self.margin.low is not None and self.margin.low <= self.random.restored


@dataclass(frozen=True)
class Shift:
    """The label whose share among the answers grew most by pruning."""

    label: str
    dense: float
    pruned: float
    auc: Auc | None  # None if it is not defined in both models

    @property
    def grew(self) -> float:
        return self.pruned - self.dense


@dataclass(frozen=True)
class CurveRow:
    """What k neurons restore by each ranking, in the order of the columns; None if it was not measured."""

    k: int
    every: bool  # whether these are all neurons
    points: list[Point | None]


@dataclass(frozen=True)
class ReverseRow:
    """What the dense model loses with the pruned activations of k neurons: the best, and random ones."""

    k: int
    points: tuple[LostPoint | None, LostPoint | None]


@dataclass(frozen=True)
class ExplanationPage:
    """The context of ``explanations/explanation.html``."""

    frame: Frame
    document: ExplanationDocument
    by: str  # a key of CURVES
    curves: Picker | None  # None where only margins were measured
    rankings: list[str]  # names, the columns of the table
    curve_rows: list[CurveRow]
    reverse_rows: list[ReverseRow]
    headline: Headline
    shift: Shift | None
    split: bool  # whether neurons have prior and content shares
    largest_layer: float  # largest magnitude of a layer's margin share
    curve_data: dict[str, object]
    share_map: ColourMap
    json_href: str
    attribute_href: str | None
    spec: str
    delete_href: str | None


@dataclass(frozen=True)
class ExplanationsPage:
    """The context of ``explanations/list.html``."""

    frame: Frame
    document: Page[ExplanationSummary]


def explanation_page(document: ExplanationDocument, frame: Frame, here: str, curve: str | None) -> ExplanationPage:
    """The context of an explanation's page. ``here`` is the path of the page, or of the share link that opened it;
    ``curve`` is a key of CURVES, by default the first."""
    of_task = document.measure == "margin"
    by = curve if of_task and curve in CURVES else next(iter(CURVES))
    found = [name for name in RANKINGS if document.curves.get(name)]
    names = [document.ranked_by if name == "margin" else name for name in found]
    rows = _curve_rows(document, found)
    models = {"dense": document.dense, "pruned": document.pruned, "task": document.source.task}
    return ExplanationPage(
        frame=frame,
        document=document,
        by=by,
        curves=picker("What is restored", CURVES, by, lambda curve: urls.with_state(here, curve=_unless_first(curve)))
        if of_task and not frame.shared
        else None,
        rankings=[RANKING_NAMES[name] for name in names],
        curve_rows=rows,
        reverse_rows=_reverse_rows(document),
        headline=_headline(document),
        shift=_shift(document),
        split=document.answers is not None,
        largest_layer=max((abs(layer.share) for layer in document.layers), default=0.0),
        curve_data=_curve_data(document, found, [RANKING_NAMES[name] for name in names], by),
        share_map=_share_map(document),
        json_href=urls.api(document.href),
        attribute_href=None
        if frame.shared or document.attribution
        else urls.new_job(kind="attribute", **{name: value for name, value in models.items() if value}),
        spec=json.dumps({"kind": "explain", "spec": document.spec}, indent=2, ensure_ascii=False),
        delete_href=None if frame.shared else urls.api(document.href),
    )


def _unless_first(curve: str) -> str | None:
    return None if curve == next(iter(CURVES)) else curve


def _curve_rows(document: ExplanationDocument, rankings: list[str]) -> list[CurveRow]:
    points = {name: {point.k: point for point in document.curves[name]} for name in rankings}
    total = document.shape[0] * document.shape[1]
    counts = sorted({k for known in points.values() for k in known})
    return [CurveRow(k, k >= total, [points[name].get(k) for name in rankings]) for k in counts]


def _reverse_rows(document: ExplanationDocument) -> list[ReverseRow]:
    margin, random = (
        {point.k: point for point in points} for points in (document.reverse.margin, document.reverse.random)
    )
    return [ReverseRow(k, (margin.get(k), random.get(k))) for k in sorted(margin.keys() | random.keys())]


def _headline(document: ExplanationDocument) -> Headline:
    """The point of the ranking by margin share at the largest measured number of neurons up to HEADLINE_PART of all,
    or else at the smallest."""
    total = document.shape[0] * document.shape[1]
    points = sorted(document.curves["margin"], key=lambda point: point.k)
    best = next((point for point in reversed(points) if point.k <= HEADLINE_PART * total), points[0])

    def beside(ranking: str) -> Point | None:
        return next((point for point in document.curves.get(ranking, ()) if point.k == best.k), None)

    return Headline(best, beside("random"), beside("score"), best.k / total)


def _shift(document: ExplanationDocument) -> Shift | None:
    answers = document.answers
    if answers is None or not answers.labels:
        return None
    label = max(answers.labels, key=lambda label: answers.said.pruned[label] - answers.said.dense[label])
    auc = None if answers.auc.dense is None or answers.auc.pruned is None else answers.auc
    return Shift(label, answers.said.dense[label], answers.said.pruned[label], auc)


def _curve_data(document: ExplanationDocument, rankings: list[str], names: list[str], by: str) -> dict[str, object]:
    """The lines of the chart: shares in percent with their intervals, or numbers of rows."""
    series = []
    for ranking, name in zip(rankings, names, strict=True):
        points = [(point.k, *_height(point, by), _told(name, point, by)) for point in document.curves[ranking]]
        shown = sorted(point for point in points if point[1] is not None)
        keys = ("x", "values", "low", "high", "labels")
        series.append({"name": name, **{key: [point[place] for point in shown] for place, key in enumerate(keys)}})
    lost = "lost margin" if document.measure == "margin" else "loss"
    title = "rows right again" if by == "right" else f"restored share of the {lost}"
    return {"series": series, "yTitle": title, "xTitle": "neurons", "suffix": "" if by == "right" else " %"}


def _height(point: Point, by: str) -> tuple[float | None, float | None, float | None]:
    """The value of a point in the chart, and the ends of its interval."""
    if by == "right":
        return point.right_again, None, None
    low, high = (None if end is None else 100 * end for end in (point.low, point.high))
    return 100 * point.restored, low, high


def _told(name: str, point: Point, by: str) -> str:
    """The label of a point in the chart, as HTML lines."""
    lines = [f"{formats.plural(point.k, 'neuron')} by {name}", f"restored {formats.percent(point.restored)}"]
    if point.low is not None and point.high is not None:
        lines.append(formats.span(point.low, point.high))
    if point.right_again is not None:
        lines.append(f"right again {point.right_again:g}, newly wrong {point.newly_wrong or 0:g}")
    return "<br>".join(map(escape, lines))


def _share_map(document: ExplanationDocument) -> ColourMap:
    """The largest margin shares of each layer, by rank."""
    found = document.share_map
    return colour_map(
        "layer",
        [str(rank) for rank in found.ranks],
        [
            (
                f"L{layer}",
                None,
                [
                    MapCell(share, f"L{layer}/N{neuron}, margin share {formats.percent(share, 2)}", href)
                    for neuron, share, href in zip(neurons, shares, hrefs, strict=True)
                ],
            )
            for layer, neurons, shares, hrefs in zip(
                found.layers, found.neurons, found.shares, found.hrefs, strict=True
            )
        ],
    )
