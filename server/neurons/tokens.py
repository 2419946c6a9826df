"""A text in one neuron's light: shaded tokens, the scales of their panes, and the numbers that a token tells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import Variant
from prunescope.server.neurons.view import View, transformed
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, difference_shade, magnitude_shade
from prunescope.server.site.parts import Legend
from prunescope.text.pieces import drawn
from prunescope.text.words import fold

REACH = 16
"""Tokens to each side in the short window."""


@dataclass(frozen=True)
class Reading:
    """One example's values in the dense and one pruned model, after the view's transform; lists are per token."""

    example: Example
    dense: list[float]
    pruned: list[float]
    dense_raw: list[float]
    pruned_raw: list[float]

    @property
    def difference(self) -> list[float]:
        return [after - before for before, after in zip(self.dense, self.pruned, strict=True)]


@dataclass(frozen=True)
class TokenSpan:
    """One token in a pane; ``parts`` are its pieces between newlines."""

    position: int
    css: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Pane:
    """Dense, pruned or difference: ``before`` and ``after`` say how much the short window leaves out."""

    key: str
    title: str
    subtitle: str
    spans: tuple[TokenSpan, ...]
    legend: Legend
    before: str
    after: str


@dataclass(frozen=True)
class Telling:
    """A token's numbers in words; ``title`` says why this token."""

    title: str
    token: str
    place: str
    dense: str
    pruned: str
    difference: str
    percent: str


def read_example(example: Example, dense: Variant, pruned: Variant, place: int, activation: str) -> Reading:
    """``place`` is the example's place in the variants' lists."""
    before, after = dense.activations[place], pruned.activations[place]
    return Reading(
        example,
        [transformed(value, activation) for value in before],
        [transformed(value, activation) for value in after],
        before,
        after,
    )


def telling_text(
    examples: list[Example], dense: Variant, variants: Sequence[Variant], word: str | None, activation: str
) -> int:
    """The index of the text where a token of ``word`` lost most in any variant, or any influential token where no text
    holds it."""
    holding = [place for place, example in enumerate(examples) if _tokens_of(example, word)]
    places = holding or range(len(examples))

    def most_lost(place: int) -> float:
        example = examples[place]
        tokens = _tokens_of(example, word) if holding else [i for i, on in enumerate(example.influential) if on]
        before = [transformed(dense.activations[place][i], activation) for i in tokens]
        return max(
            (
                value - transformed(variant.activations[place][i], activation)
                for variant in variants
                for i, value in zip(tokens, before, strict=True)
            ),
            default=-math.inf,
        )

    return examples[max(places, key=most_lost)].index


def _tokens_of(example: Example, word: str | None) -> list[int]:
    if word is None:
        return []
    return [position for each in example.words if fold(each.word) == fold(word) for position in each.positions]


def scales_of(reading: Reading, view: View) -> tuple[Scale, Scale, Scale]:
    """The scales of the dense pane, the pruned pane and the difference.

    Special tokens are left out of them: the first token's activation is often many times that of any word.
    """
    usual = [position for position, special in enumerate(reading.example.special) if not special]
    tops = [max((abs(values[place]) for place in usual), default=0.0) for values in (reading.dense, reading.pruned)]
    if view.scale == "shared":
        tops = [max(tops)] * 2
    largest = max((abs(reading.difference[place]) for place in usual), default=0.0)
    return Scale(tops[0], view.curve), Scale(tops[1], view.curve), Scale(largest, view.curve)


def most_telling(reading: Reading) -> int | None:
    """The influential token that lost most; where none lost, the one that changed most; None without tokens."""
    difference = reading.difference
    usual = [place for place, special in enumerate(reading.example.special) if not special]
    influential = [place for place in usual if reading.example.influential[place]]
    fell = [place for place in influential if difference[place] < 0]
    rose = [place for place in influential if difference[place] > 0]
    return max(fell or rose or usual, key=lambda place: abs(difference[place]), default=None)


def window_of(reading: Reading, view: View, centre: int | None) -> range:
    """The positions that are shown."""
    tokens = len(reading.example.tokens)
    if view.window == "full" or centre is None:
        return range(tokens)
    return range(max(0, centre - REACH), min(tokens, centre + REACH + 1))


def make_panes(
    reading: Reading, view: View, titles: tuple[tuple[str, str], ...], chosen: int | None
) -> tuple[Pane, ...]:
    """The three panes over the same tokens; ``titles`` are (title, subtitle) of each."""
    dense, pruned, largest = scales_of(reading, view)
    shown = window_of(reading, view, chosen if chosen is not None else most_telling(reading))
    left, right = shown.start, len(reading.example.tokens) - shown.stop
    before, after = (f"{formats.plural(number, 'token')} left out" if number else "" for number in (left, right))
    shades = (
        [magnitude_shade(value, dense) for value in reading.dense],
        [magnitude_shade(value, pruned) for value in reading.pruned],
        [difference_shade(value, largest) for value in reading.difference],
    )
    legends = (
        magnitude_legend(dense, view.activation),
        magnitude_legend(pruned, view.activation),
        difference_legend(largest),
    )
    return tuple(
        Pane(
            key,
            *title,
            tuple(_span(reading.example, place, shade[place], place == chosen) for place in shown),
            legend,
            before,
            after,
        )
        for key, title, shade, legend in zip(("dense", "pruned", "difference"), titles, shades, legends, strict=True)
    )


def _span(example: Example, place: int, shade: str, chosen: bool) -> TokenSpan:
    special = example.special[place]
    # Special tokens are dimmed and not shaded: they are outside of the scale.
    marks = ["t", "h0" if special else shade]
    marks += [mark for mark, on in (("i", example.influential[place]), ("s", special), ("c", chosen)) if on]
    return TokenSpan(place, " ".join(marks), tuple(drawn(example.tokens[place]).split("\n")))


def magnitude_legend(scale: Scale, activation: str) -> Legend:
    """The numbers of a pane that shows activations; signed when they are raw."""
    high = formats.activation(scale.top)
    if activation == "raw":
        return Legend(formats.activation(-scale.top), "0", high, "signed-ramp")
    return Legend("0", formats.activation(scale.middle), high, "heat-ramp")


def difference_legend(scale: Scale) -> Legend:
    """The numbers of the difference."""
    return Legend(formats.activation(-scale.top), "0", formats.signed(scale.top), "difference-ramp")


def token_rows(reading: Reading, view: View) -> list[list[str | int | float]]:
    """For the script: name, id, dense, pruned, difference, percent, a remark, and the exact shades, token by token."""
    scales = scales_of(reading, view)
    rows: list[list[str | int | float]] = []
    for place in range(len(reading.example.tokens)):
        told = tell(reading, place, "")
        values = (reading.dense[place], reading.pruned[place], reading.difference[place])
        special = reading.example.special[place]
        exact = [
            0.0 if special else round(scale.fraction(value), 3) for scale, value in zip(scales, values, strict=True)
        ]
        rows.append(
            [
                told.token,
                reading.example.token_ids[place],
                told.dense,
                told.pruned,
                told.difference,
                told.percent,
                _remark(reading, place),
                *exact,
            ]
        )
    return rows


def _remark(reading: Reading, place: int) -> str:
    marks = [
        name
        for name, on in (
            ("influential", reading.example.influential[place]),
            ("special, outside of the scale", reading.example.special[place]),
        )
        if on
    ]
    if reading.dense[place] != reading.dense_raw[place] or reading.pruned[place] != reading.pruned_raw[place]:
        raw = (formats.activation(value) for value in (reading.dense_raw[place], reading.pruned_raw[place]))
        marks.append(f"raw {' → '.join(raw)}")
    return " · ".join(marks)


def _name(tokens: Sequence[str], place: int) -> str:
    """A token in quotes; one that is only part of a character, as that."""
    if tokens[place]:
        return formats.token_name(tokens[place])
    first = next((token for token in reversed(tokens[:place]) if token), "")
    return f"rest of {formats.token_name(first)}"


def tell(reading: Reading, place: int, title: str) -> Telling:
    """A token's numbers as strings."""
    before, after = reading.dense[place], reading.pruned[place]
    relative = None if before == 0 else (after - before) / abs(before)
    return Telling(
        title=title,
        token=_name(reading.example.tokens, place),
        place=f"token {place}, id {reading.example.token_ids[place]}",
        dense=formats.activation(before),
        pruned=formats.activation(after),
        difference=formats.signed(after - before),
        percent=formats.change(relative) if relative is not None else "",
    )
