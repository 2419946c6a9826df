"""One text of a neuron as a view shows it: the panes of the dense model, of the shown variants and of their
differences, with their shades and scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.prompt import prompt_ends
from prunescope.server.neurons.scales import PANE_TERMS, Largest, largest_of, legend_of, scales_of
from prunescope.server.neurons.tokens import Token, remark, tokens_of
from prunescope.server.neurons.view import ALL, NeuronView
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, step
from prunescope.server.site.parts import Legend

REACH = 16
"""Number of tokens shown on each side of the chosen token with `window=16`."""


@dataclass(frozen=True)
class Cell:
    """A token in a pane, shaded with ``fraction`` (0 to 1) of ``hue``: h for activations above zero, m below zero, g
    for gains, l for losses. Special tokens and sinks have no shade."""

    token: Token
    value: float
    hue: str
    fraction: float
    chosen: bool
    selected: bool = False

    @property
    def marks(self) -> list[str]:
        """The css classes of an influential, a special or sink, a special, a chosen, and a token of the selected span;
        special tokens are not part of the text that is copied."""
        token = self.token
        aside = (("s", token.aside), ("x", token.special))
        marks = (("i", token.influential), *aside, ("c", self.chosen), ("r", self.selected))
        return [mark for mark, on in marks if on]

    @property
    def css(self) -> str:
        """The css classes of the token, its shade (in 21 steps) included."""
        return " ".join(["t", f"{self.hue}{step(self.fraction)}", *self.marks])

    @property
    def aside(self) -> bool:
        """Whether the token is special or a sink."""
        return self.token.aside

    @property
    def pieces(self) -> tuple["Cell", ...]:
        """The cell itself, as `Character.pieces`."""
        return (self,)


@dataclass(frozen=True)
class Character:
    """The cells of two or more tokens that spell one character, drawn as this character. ``hue`` and ``fraction`` are
    the mean of their shades, without special tokens and sinks; each keeps a stripe with its own shade."""

    pieces: tuple[Cell, ...]
    hue: str
    fraction: float

    @property
    def token(self) -> Token:
        """The first token, which has the character's text."""
        return self.pieces[0].token

    @property
    def sign(self) -> str:
        """The text without the spaces before it, which HTML draws in a box of their own: a line may break after them,
        and text from right to left moves them to another place."""
        return self.token.parts[0].lstrip(" ")

    @property
    def spaces(self) -> str:
        """The spaces before `sign`."""
        return self.token.parts[0].removesuffix(self.sign)

    @property
    def css(self) -> str:
        """The css classes of the character, its shade (in 21 steps) included."""
        return " ".join(["t", f"{self.hue}{step(self.fraction)}", *(["s"] if self.aside else [])])

    @property
    def aside(self) -> bool:
        """Whether all of its tokens are special or sinks."""
        return all(cell.aside for cell in self.pieces)


def joined(cells: Sequence[Cell]) -> list[Cell | Character]:
    """The cells, with those of tokens that spell one character as one `Character`. A piece whose character is not among
    the cells remains a cell, as does one whose first token has a line break."""
    groups: list[list[Cell]] = []
    for cell in cells:
        first = groups[-1][0].token if groups else None
        if cell.token.rest and first is not None and not (first.rest or first.special or len(first.parts) > 1):
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return [group[0] if len(group) == 1 else _character(tuple(group)) for group in groups]


def _character(pieces: tuple[Cell, ...]) -> Character:
    usual = [cell for cell in pieces if not cell.aside]
    signed = [-cell.fraction if cell.hue in "ml" else cell.fraction for cell in usual]
    mean = sum(signed) / max(1, len(signed))
    hues = "lg" if any(cell.hue in "lg" for cell in usual) else "mh"
    return Character(pieces, hues[mean >= 0], abs(mean))


@dataclass(frozen=True)
class Pane:
    """The shown tokens with one value each: of the dense model, a pruned variant, a difference, or a cause. ``key`` is
    unique in the page. ``before`` and ``after`` are the numbers of tokens that are not shown before and after them."""

    key: str
    kind: str
    title: str
    subtitle: str
    legend: Legend
    cells: tuple[Cell, ...]
    before: int
    after: int

    @property
    def term(self) -> str:
        """The word of the glossary that defines the values."""
        return PANE_TERMS[self.kind]

    @cached_property
    def drawn(self) -> list[Cell | Character]:
        """What is drawn for ``cells``: tokens that are pieces of one character together."""
        return joined(self.cells)


@dataclass(frozen=True)
class Shown:
    """A pruned variant that the view shows, with the text's tokens in it."""

    variant: Variant
    tokens: tuple[Token, ...]
    first: bool

    def key(self, kind: str) -> str:
        """The key of its pane of this kind: ``difference`` for the first variant, ``difference-pruned-2``."""
        return kind if self.first else f"{kind}-{self.variant.name}"


@dataclass(frozen=True)
class Reading:
    """One text with a neuron's activations in the dense model and in the ``shown`` pruned variants, as a view shows it.
    What is said of one variant is said of the first (``pruned``, ``tokens``). ``ends`` are the numbers of tokens of the
    prompt before and after the text. ``largest``: of the whole neuron, for the scale ``neuron``."""

    example: Example
    dense: Variant
    shown: tuple[Shown, ...]
    view: NeuronView
    ends: tuple[int, int] = (0, 0)
    largest: Largest | None = None

    @property
    def pruned(self) -> Variant:
        return self.shown[0].variant

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.shown[0].tokens

    @property
    def chosen(self) -> Token | None:
        """The token at the view's position; None if the view has no position, or the text is too short."""
        place = self.view.token
        return self.tokens[place] if place is not None and place < len(self.tokens) else None

    @cached_property
    def most_changed(self) -> Token | None:
        """The influential token with the largest loss in any shown variant, else with the largest gain, else the token
        with the largest difference. Special tokens and sinks are ignored; None if there are no others."""
        usual = [token for each in self.shown for token in each.tokens if not token.aside]
        influential = [token for token in usual if token.influential]
        fell = [token for token in influential if token.difference < 0]
        rose = [token for token in influential if token.difference > 0]
        return max(fell or rose or usual, key=lambda token: abs(token.difference), default=None)

    @property
    def token(self) -> Token | None:
        """The token whose numbers are shown above the text: `chosen`, else that of `most_changed`."""
        most = self.most_changed
        return self.chosen or (None if most is None else self.tokens[most.position])

    @property
    def heading(self) -> str:
        """What the token above the text is: chosen, the largest change of the whole text, or only the largest one at
        an influential token."""
        most = self.most_changed
        if most is None or self.chosen is not None:
            return "Chosen"
        if abs(most.difference) == self._largest_change:
            return "Largest change in this text"
        return f"Largest {'loss' if most.difference < 0 else 'gain'} on an influential word in this text"

    @property
    def _largest_change(self) -> float:
        return max(abs(token.difference) for each in self.shown for token in each.tokens if not token.aside)

    @property
    def folded(self) -> bool:
        """Whether the prompt is left out. It is shown if it contains `token` or a part of the span."""
        text = range(self.ends[0], len(self.tokens) - self.ends[1])
        span = self.view.span
        inside = (self.token is None or self.token.position in text) and (
            span is None or (span.first in text and span.last in text)
        )
        return self.view.prompt == "folded" and any(self.ends) and inside

    @property
    def positions(self) -> range:
        """The positions of the tokens that the view shows. A window that would cut a character contains all of it."""
        before, after = self.ends if self.folded else (0, 0)
        start, stop = before, len(self.tokens) - after
        if self.view.window == "full" or self.token is None:
            return range(start, stop)
        centre = self.token.position
        first, end = max(start, centre - REACH), min(stop, centre + REACH + 1)
        while first > start and self.tokens[first].rest:
            first -= 1
        while end < stop and self.tokens[end].rest:
            end += 1
        return range(first, end)

    @cached_property
    def order(self) -> list[int]:
        """The positions of the shown tokens by the size of their largest difference, without special tokens and
        sinks."""
        sizes = {
            position: max(abs(each.tokens[position].difference) for each in self.shown)
            for position in self.positions
            if not self.tokens[position].aside
        }
        return sorted(sizes, key=lambda position: -sizes[position])

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """Key of a pane of `groups` -> its scale."""
        # Without special tokens and sinks: their activation is often many times as large as at any word.
        values = [
            (of_all[0].dense, *(token.pruned for token in of_all))
            for of_all in zip(*(each.tokens for each in self.shown), strict=True)
            if not of_all[0].aside
        ]
        keys = ["dense", *(each.key("pruned") for each in self.shown), *(each.key("difference") for each in self.shown)]
        scales = scales_of(values or [(0.0,) * (1 + len(self.shown))], self.view, self.largest)
        return dict(zip(keys, scales, strict=True))

    def groups(self) -> list[tuple[Pane, ...]]:
        """The panes with the same tokens: dense, pruned and difference of one variant; of several variants the models
        first, then the differences."""
        activation = self.view.activation
        models = [
            self._pane("dense", "dense", self.tokens, "Dense", self.dense.label, activation),
            *(
                self._pane(each.key("pruned"), "pruned", each.tokens, "Pruned", each.variant.label, activation)
                for each in self.shown
            ),
        ]
        differences = [
            self._pane(each.key("difference"), "difference", each.tokens, "Difference", self._against(each), None)
            for each in self.shown
        ]
        return [(*models, *differences)] if len(self.shown) == 1 else [tuple(models), tuple(differences)]

    def _against(self, each: Shown) -> str:
        return formats.AGAINST_DENSE if len(self.shown) == 1 else f"{each.variant.label} {formats.MINUS} dense"

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
        """The panes own weights, upstream and next token of the first shown variant, of what was measured, with the
        tokens of `groups`."""
        titles = {
            "own": ("Own weights", "change by its own weights"),
            "upstream": ("Upstream", "change by its inputs"),
            "divergence": ("Next token", "KL(dense ‖ pruned), nats"),
        }
        return [
            self._pane(key, key, self.tokens, *titles[key], "relu" if key == "divergence" else None)
            for key in self.cause_scales
        ]

    def _pane(
        self, key: str, kind: str, tokens: Sequence[Token], title: str, subtitle: str, activation: str | None
    ) -> Pane:
        hues = "lg" if activation is None else "mh"
        scale = self.scales.get(key) or self.cause_scales[key]
        positions = self.positions
        chosen = None if self.chosen is None else self.chosen.position
        cells = []
        for token in tokens[positions.start : positions.stop]:
            value: float = getattr(token, kind)
            hue, fraction = ("h", 0.0) if token.aside else (hues[value >= 0], scale.fraction(value))
            selected = self.view.span is not None and token.position in self.view.span
            cells.append(Cell(token, value, hue, fraction, token.position == chosen, selected))
        after = len(tokens) - positions.stop
        return Pane(key, kind, title, subtitle, legend_of(scale, activation), tuple(cells), positions.start, after)


def shown_variants(neuron: NeuronDocument, view: NeuronView) -> list[Variant]:
    """The pruned variants that a view shows."""
    return [variant for variant in neuron.variants[1:] if view.variant in (ALL, variant.name)]


def read_examples(neuron: NeuronDocument, view: NeuronView, places: Sequence[int]) -> list[Reading]:
    """The examples at some positions in the document, as the view shows them."""
    dense, variants = neuron.variants[0], shown_variants(neuron, view)
    largest = largest_of(neuron, view.activation) if view.scale == "neuron" else None
    ends = prompt_ends(neuron.examples)
    return [
        Reading(
            example=neuron.examples[place],
            dense=dense,
            shown=tuple(
                Shown(variant, tokens_of(neuron, place, variant, view), first=number == 0)
                for number, variant in enumerate(variants)
            ),
            view=view,
            ends=ends,
            largest=largest,
        )
        for place in places
    ]


Row = list[str | int | float]


def token_rows(reading: Reading) -> list[Row]:
    """One row per token for the page's script: name, id, dense, pruned, difference, change, a remark, and the fractions
    of the shades of `groups` and `causes`. The numbers are of the first shown variant; `other_rows` has the others'."""
    columns = [
        ("dense", reading.tokens, reading.scales["dense"]),
        *(
            (kind, each.tokens, reading.scales[each.key(kind)])
            for kind in ("pruned", "difference")
            for each in reading.shown
        ),
        *((key, reading.tokens, scale) for key, scale in reading.cause_scales.items()),
    ]
    rows: list[Row] = []
    for token in reading.tokens:
        place = token.position
        exact = [
            0.0 if token.aside else round(scale.fraction(getattr(tokens[place], kind)), 3)
            for kind, tokens, scale in columns
        ]
        rows.append([token.name, token.id, formats.activation(token.dense), *_numbers(token), remark(token), *exact])
    return rows


def other_rows(reading: Reading) -> dict[str, list[list[str]]]:
    """Each shown variant but the first -> pruned, difference and change of every token, for the page's script."""
    return {each.variant.name: [_numbers(token) for token in each.tokens] for each in reading.shown[1:]}


def _numbers(token: Token) -> list[str]:
    change = "" if token.change is None else formats.change(token.change)
    return [formats.activation(token.pruned), formats.signed(token.difference), change]


def pane_keys(reading: Reading) -> list[str]:
    """The keys of the panes, in the order of the shades in `token_rows`."""
    return [*reading.scales, *reading.cause_scales]
