"""The colours of figures are those of the stylesheet, and text on every shade can be read."""

import re

import pytest

from prunescope.frontend import STATIC
from prunescope.server.site.palette import MIN_CONTRAST, PALETTES, Colour, Theme, contrast

CSS = (STATIC / "css/prunescope.css").read_text(encoding="utf-8")
BLOCKS = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\n *\}", CSS, re.S)[:2], strict=True))
HUES = {"heat": "h", "cold": "m", "gain": "g", "loss": "l"}
READABLE = 4.5
"""WCAG 2.2, 1.4.3."""


def properties(theme: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): ([^;]+);", BLOCKS[theme]))


def rgb(text: str) -> Colour:
    if text.startswith("#"):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    red, green, blue = map(int, text.split())
    return red, green, blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_have_the_colours_of_the_stylesheet(theme: Theme) -> None:
    css, palette = properties(theme), PALETTES[theme]
    for name in ("surface", "ink", "muted", "accent", *HUES):
        assert getattr(palette, name) == rgb(css[name]), name
    assert palette.ink == tuple(int(css[f"ink-{channel}"]) for channel in "rgb")
    assert set(palette.end) == {int(css["end"])}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("hue", HUES)
def test_text_on_every_shade_can_be_read(theme: Theme, hue: str) -> None:
    """Computed as the stylesheet does it, for every share that a page writes (three decimals)."""
    css, palette = properties(theme), PALETTES[theme]
    near, turn = float(css[f"{hue}-end"]), float(css[f"{hue}-turn"])
    opposite = 255 - int(css["end"])
    for step in range(1001):
        share = step / 1000
        text = palette.ink if share < near else palette.end if share < turn else (opposite,) * 3
        shade = palette.shade(HUES[hue], share)
        assert contrast(text, shade) >= READABLE, (share, text)
        assert palette.text_on(shade) == text or contrast(palette.text_on(shade), shade) >= MIN_CONTRAST - 0.02, share


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "surface"),
        ("muted", "surface"),
        ("muted", "paper"),
        ("accent", "surface"),
        ("accent", "accent-soft"),
        ("on-accent", "accent"),
        ("loss-text", "surface"),
        ("gain-text", "surface"),
        ("bad", "bad-soft"),
        ("bad", "surface"),
        ("warn", "warn-soft"),
        ("ok", "surface"),
    ],
)
def test_text_can_be_read_on_what_it_stands_on(theme: Theme, text: str, ground: str) -> None:
    css = properties(theme)
    assert contrast(rgb(css[text]), rgb(css[ground])) >= READABLE
