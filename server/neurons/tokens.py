"""The tokens of a text with one neuron's activations: three panes (dense, pruned, difference), shades and scales."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.view import View, transformed
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, step
from prunescope.server.site.parts import Legend
from prunescope.text.pieces import drawn
from prunescope.text.words import fold

REACH = 16
"""Number of tokens shown on each side of the chosen token with `window=16`."""

PANE_TERMS = {
    "dense": "activation",
    "pruned": "activation",
    "difference": "difference",
    "own": "own weights",
    "upstream": "upstream",
    "divergence": "KL divergence",
}
"""Key of a pane -> the word of the glossary that defines its values."""


@dataclass(frozen=True)
class Token:
    """One token and the neuron's activations on it in the dense and one pruned model, as the view transforms them."""

    position: int
    id: int
    name: str  # between quotes
    parts: tuple[str, ...]  # its text, split at newlines
    influential: bool
    special: bool
    sink: bool
    dense: float
    pruned: float
    dense_raw: float
    pruned_raw: float
    own: float | None = None  # the part of pruned_raw - dense_raw that is due to the neuron's own weights
    divergence: float | None = None  # KL(dense || pruned) of the prediction of the next token, in nats

    @property
    def upstream(self) -> float | None:
        """The part of ``pruned_raw - dense_raw`` that is due to changed inputs."""
        return None if self.own is None else self.pruned_raw - self.dense_raw - self.own

    @property
    def aside(self) -> bool:
        """Whether the token is special or a sink: it has no shade and does not set the scale."""
        return self.special or self.sink

    @property
    def difference(self) -> float:
        return self.pruned - self.dense

    @property
    def change(self) -> float | None:
        """The difference relative to the dense activation; None if the dense activation is zero."""
        return None if self.dense == 0 else self.difference / abs(self.dense)

    @cached_property
    def note(self) -> str:
        """All data of the token in one line, the same in all panes."""
        return (
            f"{self.name} token {self.position}, id {self.id}: dense {formats.activation(self.dense)}, pruned "
            f"{formats.activation(self.pruned)}, {formats.signed(self.difference)}; raw: dense {self.dense_raw!r}, "
            f"pruned {self.pruned_raw!r}"
        )

    @property
    def causes(self) -> list[str]:
        """The parts of the raw change, and the divergence, each as a short text; empty where they were not measured."""
        found = []
        if self.own is not None and self.upstream is not None:
            found.append(f"own weights {formats.signed(self.own)}, upstream {formats.signed(self.upstream)}")
        if self.divergence is not None:
            found.append(f"next token: KL {formats.decimal(self.divergence)} nats")
        return found


@dataclass(frozen=True)
class Cell:
    """A token in a pane, shaded with ``fraction`` (0 to 1) of ``hue``: h for activations above zero, m below zero, g
    for gains, l for losses. Special tokens and sinks have no shade."""

    token: Token
    value: float
    hue: str
    fraction: float
    chosen: bool

    @property
    def marks(self) -> list[str]:
        """The css classes of an influential, a special (or sink) and a chosen token."""
        marks = (("i", self.token.influential), ("s", self.token.aside), ("c", self.chosen))
        return [mark for mark, on in marks if on]

    @property
    def css(self) -> str:
        """The css classes of the token, its shade (in 21 steps) included."""
        return " ".join(["t", f"{self.hue}{step(self.fraction)}", *self.marks])


@dataclass(frozen=True)
class Pane:
    """The shown tokens with one value each: of the dense or the pruned model, of the difference, or of a cause.
    ``before`` and ``after`` are the numbers of tokens that are not shown before and after them."""

    key: str
    title: str
    subtitle: str
    legend: Legend
    cells: tuple[Cell, ...]
    before: int
    after: int

    @property
    def term(self) -> str:
        """The word of the glossary that defines the values."""
        return PANE_TERMS[self.key]


@dataclass(frozen=True)
class Reading:
    """One text with a neuron's activations in the dense and one pruned model, as a view shows it."""

    example: Example
    dense: Variant
    pruned: Variant
    tokens: tuple[Token, ...]
    view: View

    @property
    def chosen(self) -> Token | None:
        """The token at the view's position; None if the view has no position, or the text is too short."""
        place = self.view.token
        return self.tokens[place] if place is not None and place < len(self.tokens) else None

    @cached_property
    def most_changed(self) -> Token | None:
        """The influential token with the largest loss, else with the largest gain, else the token with the largest
        difference. Special tokens and sinks are ignored; None if there are no others."""
        usual = [token for token in self.tokens if not token.aside]
        influential = [token for token in usual if token.influential]
        fell = [token for token in influential if token.difference < 0]
        rose = [token for token in influential if token.difference > 0]
        return max(fell or rose or usual, key=lambda token: abs(token.difference), default=None)

    @property
    def token(self) -> Token | None:
        """The token whose numbers are shown above the text: `chosen`, else `most_changed`."""
        return self.chosen or self.most_changed

    @property
    def heading(self) -> str:
        """What the token above the text is: chosen, the largest change of the whole text, or only the largest one at
        an influential token."""
        token = self.token
        if token is None or token is self.chosen:
            return "Chosen"
        largest = max(abs(each.difference) for each in self.tokens if not each.aside)
        if abs(token.difference) == largest:
            return "Largest change in this text"
        return f"Largest {'loss' if token.difference < 0 else 'gain'} on an influential word in this text"

    @property
    def shown(self) -> range:
        """The positions of the tokens that the view shows."""
        if self.view.window == "full" or self.token is None:
            return range(len(self.tokens))
        centre = self.token.position
        return range(max(0, centre - REACH), min(len(self.tokens), centre + REACH + 1))

    @cached_property
    def scales(self) -> tuple[Scale, Scale, Scale]:
        """The scales of the dense model, of the pruned model and of the difference."""
        # Without special tokens and sinks: their activation is often many times as large as at any word.
        return scales_of(((token.dense, token.pruned) for token in self.tokens if not token.aside), self.view)

    def panes(self) -> tuple[Pane, Pane, Pane]:
        """The panes dense, pruned and difference, with the same tokens."""
        dense, pruned, difference = self.scales
        return (
            self._pane("dense", "Dense", self.dense.label, dense, self.view.activation),
            self._pane("pruned", "Pruned", self.pruned.label, pruned, self.view.activation),
            self._pane("difference", "Difference", formats.AGAINST_DENSE, difference, None),
        )

    @cached_property
    def cause_scales(self) -> dict[str, Scale]:
        """Key of a pane of `causes` -> its scale: one for both parts of the change, which contains the largest change,
        and one for the divergence. Only of what was measured."""
        usual = [token for token in self.tokens if not token.aside]
        scales = {}
        if self.pruned.own is not None:
            changes = [(token.own, token.upstream, token.pruned_raw - token.dense_raw) for token in usual]
            parts = [abs(part) for change in changes for part in change if part is not None]
            scales = dict.fromkeys(("own", "upstream"), Scale(max(parts, default=0.0), self.view.curve))
        if self.pruned.divergence is not None:
            largest = max((token.divergence or 0.0 for token in usual), default=0.0)
            scales["divergence"] = Scale(largest, self.view.curve)
        return scales

    def causes(self) -> list[Pane]:
        """The panes own weights, upstream and next token, of what was measured, with the tokens of `panes`."""
        titles = {
            "own": ("Own weights", "change by its own weights"),
            "upstream": ("Upstream", "change by its inputs"),
            "divergence": ("Next token", "KL(dense ‖ pruned), nats"),
        }
        return [
            self._pane(key, *titles[key], scale, "relu" if key == "divergence" else None)
            for key, scale in self.cause_scales.items()
        ]

    def _pane(self, key: str, title: str, subtitle: str, scale: Scale, activation: str | None) -> Pane:
        hues = "lg" if activation is None else "mh"
        shown = self.shown
        cells = []
        for token in self.tokens[shown.start : shown.stop]:
            value: float = getattr(token, key)
            hue, fraction = ("h", 0.0) if token.aside else (hues[value >= 0], scale.fraction(value))
            cells.append(Cell(token, value, hue, fraction, token is self.chosen))
        after = len(self.tokens) - shown.stop
        return Pane(key, title, subtitle, legend_of(scale, activation), tuple(cells), shown.start, after)


def read_example(neuron: NeuronDocument, view: View, place: int) -> Reading:
    """The example at position ``place`` in the document, as the view shows it."""
    example, dense = neuron.examples[place], neuron.variants[0]
    pruned = next(variant for variant in neuron.variants if variant.name == view.variant)
    values = zip(dense.activations[place], pruned.activations[place], strict=True)
    tokens = tuple(
        Token(
            position=position,
            id=example.token_ids[position],
            name=_name(example.tokens, position),
            parts=tuple(drawn(example.tokens[position]).split("\n")),
            influential=example.influential[position],
            special=example.special[position],
            sink=example.sinks[position],
            dense=transformed(before, view.activation),
            pruned=transformed(after, view.activation),
            dense_raw=before,
            pruned_raw=after,
            own=pruned.own[place][position] if pruned.own else None,
            divergence=pruned.divergence[place][position] if pruned.divergence else None,
        )
        for position, (before, after) in enumerate(values)
    )
    return Reading(example, dense, pruned, tokens, view)


def _name(tokens: Sequence[str], place: int) -> str:
    """A token between quotes; for a token without text (the rest of a character), the token with the character."""
    if tokens[place]:
        return formats.token_name(tokens[place])
    first = next((token for token in reversed(tokens[:place]) if token), "")
    return f"rest of {formats.token_name(first)}"


def default_example(neuron: NeuronDocument, variant: str) -> int:
    """The index of the example with the largest loss in a pruned variant at a token of the neuron's own word; if it
    lost nothing there, at any influential token; if it lost nothing at all, the one with the largest change."""
    examples, dense = neuron.examples, neuron.variants[0]
    pruned = next(each for each in neuron.variants if each.name == variant)

    def losses(place: int, tokens: Iterable[int]) -> list[float]:
        before, after = dense.activations[place], pruned.activations[place]
        return [transformed(before[i], neuron.activation) - transformed(after[i], neuron.activation) for i in tokens]

    own = [losses(place, _tokens_of(example, neuron.word)) for place, example in enumerate(examples)]
    influential = [
        losses(place, [i for i, on in enumerate(example.influential) if on]) for place, example in enumerate(examples)
    ]
    for found in (own, influential):
        place = max(range(len(examples)), key=lambda place: max(found[place], default=0.0))
        if max(found[place], default=0.0) > 0:
            return examples[place].index
    changed = own if any(own) else influential
    return examples[max(range(len(examples)), key=lambda place: max(map(abs, changed[place]), default=-1.0))].index


def _tokens_of(example: Example, word: str | None) -> list[int]:
    if word is None:
        return []
    return [position for each in example.words if fold(each.word) == fold(word) for position in each.positions]


def scales_of(values: Iterable[tuple[float, float]], view: View) -> tuple[Scale, Scale, Scale]:
    """The scales of dense values, pruned values and differences, from (dense, pruned) pairs."""
    pairs = list(values)
    tops = [max((abs(pair[side]) for pair in pairs), default=0.0) for side in (0, 1)]
    if view.scale == "shared":
        tops = [max(tops)] * 2
    largest = max((abs(after - before) for before, after in pairs), default=0.0)
    return Scale(tops[0], view.curve), Scale(tops[1], view.curve), Scale(largest, view.curve)


def legend_of(scale: Scale, activation: str | None) -> Legend:
    """The legend of a scale of activations (from -top if ``activation`` is raw), or of differences (None)."""
    if activation is None:
        return Legend(formats.activation(-scale.top), "0", formats.signed(scale.top), "difference-ramp")
    high = formats.activation(scale.top)
    if activation == "raw":
        return Legend(formats.activation(-scale.top), "0", high, "signed-ramp")
    return Legend("0", formats.activation(scale.middle), high, "heat-ramp")


def token_rows(reading: Reading) -> list[list[str | int | float]]:
    """One row per token for the page's script: name, id, dense, pruned, difference, change, a remark, and the fractions
    of the shades of `panes` and `causes`."""
    usual = zip(("dense", "pruned", "difference"), reading.scales, strict=True)
    scales = [*usual, *reading.cause_scales.items()]
    rows: list[list[str | int | float]] = []
    for token in reading.tokens:
        exact = [0.0 if token.aside else round(scale.fraction(getattr(token, key)), 3) for key, scale in scales]
        rows.append(
            [
                token.name,
                token.id,
                formats.activation(token.dense),
                formats.activation(token.pruned),
                formats.signed(token.difference),
                "" if token.change is None else formats.change(token.change),
                _remark(token),
                *exact,
            ]
        )
    return rows


def _remark(token: Token) -> str:
    marks = ["influential"] if token.influential else []
    if token.special:
        marks.append("special, outside of the scale")
    elif token.sink:
        name = "attention sink" if token.position else "first token"
        marks.append(f"{name}: not counted, outside of the scale")
    if (token.dense, token.pruned) != (token.dense_raw, token.pruned_raw):
        marks.append(f"raw {formats.activation(token.dense_raw)} → {formats.activation(token.pruned_raw)}")
    return " · ".join([*marks, *token.causes])
