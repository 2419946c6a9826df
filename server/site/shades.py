"""From a value to the shade of a token: a fraction of the scale, and the css class of its step.

A page carries a class for each token (it reads without script) and the exact fractions beside (a script that may set
styles through the CSSOM refines the 21 steps).
"""

import math
from dataclasses import dataclass
from typing import Literal

Curve = Literal["linear", "log"]

STEPS = 20
DECADES = 100.0
"""The log curve spreads this ratio: a value of 1/100 of the scale's end gets about 15 % of the ramp."""


@dataclass(frozen=True)
class Scale:
    """Where shades end: at ``top`` the shade is full."""

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
