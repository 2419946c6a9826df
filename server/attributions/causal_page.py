"""The panel of an attribution that says whether its top neurons matter for a task."""

from dataclasses import dataclass

from prunescope.server.attributions.documents import CausalDocument, CausalRow
from prunescope.server.site import formats
from prunescope.store.attributions.causal import Effect, Estimate

TOUCHED = {"ablation": "without {}", "restoration": "{} given back"}
MIN_SCALE = 0.01
"""Half the width of the drawings: changes of less than a point look as small as they are."""


@dataclass(frozen=True)
class Reach:
    """An interval as it is drawn, in percent of the width, zero in the middle."""

    at: float
    low: float
    high: float
    draws: tuple[float, ...]
    direction: str  # loss, gain, or none where zero is within


@dataclass(frozen=True)
class CausalLine:
    label: str
    level: str
    change: str
    within: str
    reach: Reach | None


@dataclass(frozen=True)
class CausalMeasure:
    title: str
    lines: tuple[CausalLine, ...]
    scale: str


@dataclass(frozen=True)
class CausalCard:
    title: str
    measures: tuple[CausalMeasure, ...]
    verdict: str
    evidence: str


@dataclass(frozen=True)
class CausalPanel:
    """The context of ``attributions/causal.html``."""

    about: str
    cards: tuple[CausalCard, ...]
    notes: tuple[str, ...]


def causal_panel(document: CausalDocument, variant: str | None) -> CausalPanel:
    """The dense model, and the pruned variant that the page speaks of."""
    shown = [row for row in document.variants if row.intervention == "ablation" or row.name == variant]
    notes = []
    if document.draws < 19:
        least = formats.decimal(1 / (document.draws + 1), 2)
        notes.append(f"With {document.draws} draws p cannot be below {least}; from 19 on it can reach 0.05.")
    if document.truncated:
        notes.append(f"{formats.plural(document.truncated, 'row')} lost the beginning of a prompt that was too long.")
    layers = ", ".join(f"{formats.count(each.neurons)} in layer {each.layer}" for each in document.layers)
    return CausalPanel(
        about=f"{document.task}, {formats.plural(document.rows, 'row')} that the neurons were not chosen on; "
        f"{formats.plural(document.neurons, 'top neuron')} ({layers}) against "
        f"{formats.plural(document.draws, 'draw')} of as many others of the same layers",
        cards=tuple(_card(row, document) for row in shown),
        notes=tuple(notes),
    )


def _card(row: CausalRow, document: CausalDocument) -> CausalCard:
    ablated = row.intervention == "ablation"
    how = TOUCHED[row.intervention]
    title = f"{row.label}, neurons held at their mean" if ablated else f"{row.label}, dense weights given back"
    measures = (("accuracy", row.accuracy), ("probability of the right answer", row.probability))
    return CausalCard(
        title=title,
        measures=tuple(_measure(name, effect, how) for name, effect in measures),
        verdict=_verdict(row.accuracy.excess, ablated=ablated),
        evidence=_evidence(row.accuracy, document.draws, ablated=ablated),
    )


def _measure(name: str, effect: Effect, how: str) -> CausalMeasure:
    changes = (effect.top_change, effect.random_change, effect.excess)
    draws = tuple(draw - effect.base.value for draw in effect.draws)
    bounds = [bound for each in changes for bound in (each.value, each.low or 0.0, each.high or 0.0)]
    scale = max(MIN_SCALE, *map(abs, bounds), *map(abs, draws))
    end = formats.decimal(100 * scale, 1)
    return CausalMeasure(
        title=name,
        lines=(
            CausalLine("as it is", formats.accuracy(effect.base.value), "", "", None),
            _line(how.format("top neurons"), effect.top, effect.top_change, scale),
            _line(how.format("random ones"), effect.random, effect.random_change, scale, draws),
            _line("top beyond random", None, effect.excess, scale),
        ),
        scale=f"{formats.MINUS}{end} to +{end} points",
    )


def _line(
    label: str, level: Estimate | None, change: Estimate, scale: float, draws: tuple[float, ...] = ()
) -> CausalLine:
    low, high = change.low, change.high
    known = low is not None and high is not None
    within = f"{formats.points(low)} to {formats.points(high)}" if known else "no row changed"

    def place(value: float) -> float:
        return round(50 + 50 * value / scale, 2)

    reach = Reach(
        at=place(change.value),
        low=place(change.value if low is None else low),
        high=place(change.value if high is None else high),
        draws=tuple(place(draw) for draw in draws),
        direction=_direction(change),
    )
    return CausalLine(
        label, formats.accuracy(level.value) if level else "", formats.points(change.value), within, reach
    )


def _direction(change: Estimate) -> str:
    if change.high is not None and change.high < 0:
        return "loss"
    return "gain" if change.low is not None and change.low > 0 else "none"


def _verdict(excess: Estimate, *, ablated: bool) -> str:
    direction = _direction(excess)
    if excess.low is None:
        return "No row was answered differently with the top neurons than with random ones: nothing can be told apart."
    if ablated:
        if direction == "loss":
            return "Without its top neurons the model loses more accuracy than without random ones: they matter for it."
        if direction == "gain":
            return "Without random neurons the model loses more accuracy than without its top ones."
        return "Without its top neurons the model does not clearly lose more accuracy than without random ones."
    if direction == "gain":
        return "The top neurons' weights bring back more accuracy than those of random ones."
    if direction == "loss":
        return "The weights of random neurons bring back more accuracy than those of the top ones."
    return "The top neurons' weights do not clearly bring back more accuracy than those of random ones."


def _evidence(effect: Effect, draws: int, *, ablated: bool) -> str:
    top = effect.top.value
    as_much = sum(draw <= top if ablated else draw >= top for draw in effect.draws)
    verb = "cost as much accuracy or more" if ablated else "brought back as much accuracy or more"
    return f"{as_much} of {draws} draws {verb}, p = {formats.probability(effect.p_value)}"
