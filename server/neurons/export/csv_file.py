"""A neuron's numbers as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.view import transformed
from prunescope.server.site.formats import harmless


@dataclass(frozen=True)
class Columns:
    """What is in the file: positions of tokens by the example's place, variants, and the activation they are shown as
    (``raw``: as recorded)."""

    positions: Mapping[int, Sequence[int]]
    variants: tuple[Variant, ...]
    activation: str


def neuron_csv(neuron: NeuronDocument, shown: Columns) -> str:
    """One row per token: where it stands, what it is, then each variant's activation.

    Numbers are written with all of their digits, as in the JSON document, and never altered. A spreadsheet would run
    a text cell that begins with ``=``, ``+``, ``-``, ``@`` or a control character as a formula, and such tokens
    do occur: they get an apostrophe in front, which spreadsheets take for "this is text". Programs that need the exact
    token have its ``token_id``.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [variant.name for variant in shown.variants]
    writer.writerow(["example", "position", "token_id", "token", "influential", "special", *map(harmless, names)])
    for place, positions in shown.positions.items():
        writer.writerows(_rows(neuron.examples[place], positions, shown, place))
    return out.getvalue()


def _rows(example: Example, positions: Sequence[int], shown: Columns, place: int) -> Iterable[list[object]]:
    columns = [variant.activations[place] for variant in shown.variants]
    for position in positions:
        yield [
            example.index,
            position,
            example.token_ids[position],
            harmless(example.tokens[position]),
            _word(example.influential[position]),
            _word(example.special[position]),
            *(repr(transformed(column[position], shown.activation)) for column in columns),
        ]


def _word(value: bool) -> str:
    return "true" if value else "false"
