"""The panel of an attribution page that says whether the top neurons matter for a task."""

from dataclasses import dataclass

from prunescope.server.attributions.documents import CausalDocument, CausalRow
from prunescope.server.site import formats
from prunescope.store.attributions.causal import Effect, Estimate

CHANGED = {"ablation": "without {}", "restoration": "{} restored"}
MIN_SCALE = 0.01
"""Least half-width of the drawings: changes below a percentage point are drawn small."""


@dataclass(frozen=True)
class CausalLine:
    """A condition: the measure in it, its change against the unchanged model, and the single draws' changes."""

    label: str
    level: Estimate | None
    change: Estimate | None
    draws: tuple[float, ...] = ()

    @property
    def direction(self) -> str:
        """``loss``, ``gain``, or ``none`` where the interval of the change includes zero."""
        return "none" if self.change is None else _direction(self.change)


@dataclass(frozen=True)
class CausalMeasure:
    """The conditions of one measure; changes are drawn from ``-scale`` to ``scale``."""

    title: str
    scale: float
    lines: tuple[CausalLine, ...]


@dataclass(frozen=True)
class CausalCard:
    """One variant's measures, and what follows from its accuracy."""

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
    """The cards of the dense model and of the pruned variant that the page shows."""
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
        cards=tuple(_card(row, document.draws) for row in shown),
        notes=tuple(notes),
    )


def _card(row: CausalRow, draws: int) -> CausalCard:
    ablated = row.intervention == "ablation"
    changed = CHANGED[row.intervention]
    return CausalCard(
        title=f"{row.label}, neurons held at their mean" if ablated else f"{row.label}, dense weights restored",
        measures=(
            _measure("accuracy", row.accuracy, changed),
            _measure("probability of the right answer", row.probability, changed),
        ),
        verdict=_verdict(row.accuracy.excess, ablated=ablated),
        evidence=_evidence(row.accuracy, draws, ablated=ablated),
    )


def _measure(title: str, effect: Effect, changed: str) -> CausalMeasure:
    changes = (effect.top_change, effect.random_change, effect.excess)
    draws = tuple(draw - effect.base.value for draw in effect.draws)
    bounds = [bound for each in changes for bound in (each.value, each.low or 0.0, each.high or 0.0)]
    return CausalMeasure(
        title=title,
        scale=max(MIN_SCALE, *map(abs, bounds), *map(abs, draws)),
        lines=(
            CausalLine("unchanged", effect.base, None),
            CausalLine(changed.format("top neurons"), effect.top, effect.top_change),
            CausalLine(changed.format("random ones"), effect.random, effect.random_change, draws),
            CausalLine("top beyond random", None, effect.excess),
        ),
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
