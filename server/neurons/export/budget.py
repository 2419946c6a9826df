"""Limits of a figure's size, which are checked before it is drawn."""

import re
from collections.abc import Sequence

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server.neurons.documents import NeuronDocument

MAX_DRAWN_TOKENS = 20_000
"""Of a figure, over all panes and examples."""
MAX_FIGURE_CHARACTERS = 40_000_000
"""Of an SVG or HTML file, estimated."""
MAX_PIXELS = 40_000_000
"""Of a PNG; at 4 bytes per pixel 160 MB."""

PANES = 3
"""Dense, one pruned variant, difference."""
CHARACTERS_PER_TOKEN = 600
"""Estimated markup of one token in one pane, without its text and values."""
CHARACTERS_PER_VALUE = 40
CHARACTERS_PER_LETTER = 20
"""Estimated for one letter of a token, which is written in the text and in the note, and may be escaped."""

_SIZE = re.compile(r'<svg [^>]*?width="(\d+)" height="(\d+)"')


def check_figure(neuron: NeuronDocument, examples: Sequence[int], example: int | None) -> None:
    """Raise Problem 422 if the figure of these examples (positions in the document) would be too large. ``example`` is
    the index in the query, None for all examples."""
    tokens = PANES * sum(len(neuron.examples[place].tokens) for place in examples)
    if tokens > MAX_DRAWN_TOKENS:
        raise _too_large(neuron, example, f"{tokens:,} tokens in all panes", f"{MAX_DRAWN_TOKENS:,}")
    letters = sum(len(token) for place in examples for token in neuron.examples[place].tokens)
    characters = PANES * (
        tokens // PANES * (CHARACTERS_PER_TOKEN + CHARACTERS_PER_VALUE * PANES) + CHARACTERS_PER_LETTER * letters
    )
    if characters > MAX_FIGURE_CHARACTERS:
        raise _too_large(neuron, example, f"some {characters:,} characters", f"{MAX_FIGURE_CHARACTERS:,}")


def check_pixels(svg: str, neuron: NeuronDocument, example: int | None) -> None:
    """Raise Problem 422 if the PNG of an SVG would have more than MAX_PIXELS."""
    size = _SIZE.search(svg)
    assert size is not None  # `neuron_svg` writes both first
    width, height = (int(side) for side in size.groups())
    if width * height > MAX_PIXELS:
        raise _too_large(
            neuron, example, f"{width:,} x {height:,} = {width * height:,} pixels", f"{MAX_PIXELS:,} pixels"
        )


def _too_large(neuron: NeuronDocument, example: int | None, size: str, most: str) -> Problem:
    count = len(neuron.examples)
    if example is None and count > 1:
        message = f"a picture of all {count} examples is too large ({size}; at most {most}); choose one with ?example="
    else:
        message = f"a picture of this example is too large ({size}; at most {most}); take heatmap.csv"
    return bad_field("example", example, [str(each.index) for each in neuron.examples], message)
