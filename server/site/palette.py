"""Colours of figures, light and dark, as in ``frontend/static/css/prunescope.css``, and the shade that a value gets.

A page carries a css class for each token (21 steps, no script needed) and the exact fractions in a JSON block; a script
that may set styles through the CSSOM refines the steps.
"""

import math
from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]

Colour = tuple[int, int, int]

DIFFERENCE_OPACITY = 0.85
"""A full loss or gain has this much of its colour."""
MIN_CONTRAST = 4.6
"""A token's text keeps the ink where that has at least this contrast to the shade (WCAG 2.2 asks for 4.5)."""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme. ``heat`` and ``cold``: magnitudes above and below zero; ``gain`` and ``loss``: differences;
    ``end``: the text on shades where the ink's contrast is too low, before it turns to the opposite."""

    surface: Colour
    ink: Colour
    muted: Colour
    accent: Colour
    heat: Colour
    cold: Colour
    gain: Colour
    loss: Colour
    end: Colour

    def shade(self, hue: str, fraction: float) -> Colour:
        """The background of a token: ``fraction`` of the hue (``h``, ``m``, ``g`` or ``l``) over the surface."""
        colour = {"h": self.heat, "m": self.cold, "g": self.gain, "l": self.loss}[hue]
        share = fraction * (DIFFERENCE_OPACITY if hue in "gl" else 1)
        red, green, blue = (round(s + (c - s) * share) for s, c in zip(self.surface, colour, strict=True))
        return red, green, blue

    def text_on(self, shade: Colour) -> Colour:
        """The colour of text on a shade: the ink, or black or white where the ink's contrast is too low."""
        if contrast(self.ink, shade) >= MIN_CONTRAST:
            return self.ink
        red, green, blue = self.end
        return max(self.end, (255 - red, 255 - green, 255 - blue), key=lambda colour: contrast(colour, shade))


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        surface=(255, 255, 255),
        ink=(27, 31, 35),
        muted=(95, 104, 118),
        accent=(11, 110, 105),
        heat=(11, 110, 105),
        cold=(106, 76, 147),
        gain=(33, 102, 172),
        loss=(203, 90, 16),
        end=(0, 0, 0),
    ),
    "dark": Palette(
        surface=(22, 26, 29),
        ink=(230, 232, 234),
        muted=(152, 162, 173),
        accent=(79, 195, 181),
        heat=(79, 195, 181),
        cold=(178, 148, 226),
        gain=(103, 169, 230),
        loss=(244, 146, 72),
        end=(255, 255, 255),
    ),
}


def hexadecimal(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)


def contrast(first: Colour, second: Colour) -> float:
    """WCAG's contrast ratio of two colours: 1 to 21."""
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    channels = (channel / 255 for channel in colour)
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


Curve = Literal["linear", "log"]

STEPS = 20
DECADES = 100.0
"""The log curve spreads this ratio: a value of 1/100 of the scale's end gets about 15 % of the ramp."""


@dataclass(frozen=True)
class Scale:
    """A scale of shades that ends at ``top``."""

    top: float
    curve: Curve = "linear"

    def fraction(self, value: float) -> float:
        """How much of the shade the magnitude of ``value`` gets, in [0, 1]."""
        if self.top <= 0 or not math.isfinite(value):
            return 0.0
        part = min(1.0, abs(value) / self.top)
        return part if self.curve == "linear" else math.log1p((DECADES - 1) * part) / math.log(DECADES)

    @property
    def middle(self) -> float:
        """The value whose shade is half of the ramp: the number under the legend's middle."""
        return self.top / 2 if self.curve == "linear" else self.top * (math.sqrt(DECADES) - 1) / (DECADES - 1)


def step(fraction: float) -> int:
    """The step of a fraction of the scale: 0 to 20."""
    return round(STEPS * fraction)


def magnitude_shade(value: float, scale: Scale) -> str:
    """``h<step>``; ``m<step>`` (another hue) below zero."""
    return f"{'m' if value < 0 else 'h'}{step(scale.fraction(value))}"


def difference_shade(value: float, scale: Scale) -> str:
    """``l<step>`` for a loss, ``g<step>`` for a gain."""
    return f"{'l' if value < 0 else 'g'}{step(scale.fraction(value))}"
