"""Colours of figures, light and dark, equal to those in ``frontend/static/css/prunescope.css``, and the mapping from
values to shades.

In pages each token has a css class with one of 21 shades. A script replaces it by the exact shade, computed from
fractions in a JSON block.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Theme = Literal["light", "dark"]

Colour = tuple[int, int, int]

DIFFERENCE_OPACITY = 0.85
"""Opacity of the strongest shade of a loss or gain."""
MIN_CONTRAST = 4.6
"""Minimum contrast between a token's text and its shade (WCAG 2.2 requires 4.5)."""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme. ``heat``, ``cold``: activations above and below zero; ``gain``, ``loss``: differences;
    ``end``: black or white, used with its opposite for text on shades where the contrast of ``ink`` is too low."""

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
        """The background of a token: a hue (``h`` heat, ``m`` cold, ``g`` gain, ``l`` loss) at ``fraction`` opacity."""
        colour = {"h": self.heat, "m": self.cold, "g": self.gain, "l": self.loss}[hue]
        share = fraction * (DIFFERENCE_OPACITY if hue in "gl" else 1)
        red, green, blue = self.surface
        return (
            round(red + (colour[0] - red) * share),
            round(green + (colour[1] - green) * share),
            round(blue + (colour[2] - blue) * share),
        )

    def text_on(self, shade: Colour) -> Colour:
        """The colour of text on a shade: the ink, or black or white if the ink's contrast is below MIN_CONTRAST."""
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
    """A colour as ``#rrggbb``."""
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def contrast(first: Colour, second: Colour) -> float:
    """The contrast ratio of two colours by WCAG, from 1 to 21."""
    one, other = _luminance(first) + 0.05, _luminance(second) + 0.05
    return max(one, other) / min(one, other)


@lru_cache(maxsize=4096)  # a figure has thousands of tokens and a few hundred shades
def _luminance(colour: Colour) -> float:
    channels = (channel / 255 for channel in colour)
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


Curve = Literal["linear", "log", "gamma"]

STEPS = 20
LOG_BASE = 100.0
"""Base of the log curve: a value of 1/100 of ``top`` gets about 15 % of the strongest shade."""
GAMMA = 0.5
"""Exponent of the gamma curve: a value of 1/100 of ``top`` gets 10 % of the strongest shade."""


@dataclass(frozen=True)
class Scale:
    """Maps the magnitude of values to the strength of shades; ``top`` and larger values get the strongest shade."""

    top: float
    curve: Curve = "linear"

    def fraction(self, value: float) -> float:
        """The strength of the shade of ``value``, from 0 to 1."""
        if self.top <= 0 or not math.isfinite(value):
            return 0.0
        part = min(1.0, abs(value) / self.top)
        match self.curve:
            case "linear":
                return part
            case "log":
                return math.log1p((LOG_BASE - 1) * part) / math.log(LOG_BASE)
            case "gamma":
                return math.pow(part, GAMMA)

    @property
    def middle(self) -> float:
        """The value with half of the strongest shade, shown at the middle of the legend."""
        match self.curve:
            case "linear":
                return self.top / 2
            case "log":
                return self.top * (math.sqrt(LOG_BASE) - 1) / (LOG_BASE - 1)
            case "gamma":
                return self.top * math.pow(0.5, 1 / GAMMA)


def step(fraction: float) -> int:
    """The number of the css class for a strength from 0 to 1: 0 to STEPS."""
    return round(STEPS * fraction)


def magnitude_shade(value: float, scale: Scale) -> str:
    """The css class of an activation: ``h<step>``, below zero ``m<step>``."""
    return f"{'m' if value < 0 else 'h'}{step(scale.fraction(value))}"


def difference_shade(value: float, scale: Scale) -> str:
    """The css class of a difference: ``l<step>`` below zero (a loss), else ``g<step>``."""
    return f"{'l' if value < 0 else 'g'}{step(scale.fraction(value))}"
