"""How large a figure may be, computed before anything is drawn."""

import re
from collections.abc import Sequence

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server.neurons.documents import NeuronDocument

MAX_DRAWN_TOKENS = 20_000
"""Over all panes and examples of a figure."""
MAX_FIGURE_CHARACTERS = 40_000_000
"""Of an SVG or HTML file, by an estimate."""
MAX_PIXELS = 40_000_000
"""Of a PNG: four bytes each, 160 MB."""

PANES = 3
"""Dense, one pruned variant, their difference."""
CHARACTERS_PER_TOKEN = 600
"""Of one token in one pane, beside its text and the values that it names."""
CHARACTERS_PER_VALUE = 40
CHARACTERS_PER_LETTER = 20
"""A token's text stands in it and in its note, and a letter may be escaped."""

_SIZE = re.compile(r'<svg [^>]*?width="(\d+)" height="(\d+)"')


def check_figure(neuron: NeuronDocument, examples: Sequence[int], example: int | None) -> None:
    """Problem 422 for a figure of these examples (places in the lists) that would be too large to be written. `example`
    is the one that was asked for, None for all."""
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
    """Problem 422 for a picture of more than MAX_PIXELS."""
    size = _SIZE.search(svg)
    assert size is not None  # every figure of ours begins with it
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
