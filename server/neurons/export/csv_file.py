"""A neuron's numbers as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence

from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.view import transformed
from prunescope.server.site.formats import harmless


def neuron_csv(
    neuron: NeuronDocument, positions: Mapping[int, Sequence[int]], variants: Sequence[Variant], activation: str
) -> str:
    """One row per token: where it stands, what it is, then each variant's activation (``raw``: as recorded).
    ``positions`` are those of the tokens, by the example's place.

    Numbers are written with all of their digits, as in the JSON document, and never altered. A spreadsheet would run
    a text cell that begins with ``=``, ``+``, ``-``, ``@`` or a control character as a formula, and such tokens
    do occur: they get an apostrophe in front, which spreadsheets take for "this is text". Programs that need the exact
    token have its ``token_id``.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [harmless(variant.name) for variant in variants]
    writer.writerow(["example", "position", "token_id", "token", "influential", "special", *names])
    for place, shown in positions.items():
        example = neuron.examples[place]
        for position in shown:
            values = [transformed(variant.activations[place][position], activation) for variant in variants]
            writer.writerow(
                [
                    example.index,
                    position,
                    example.token_ids[position],
                    harmless(example.tokens[position]),
                    str(example.influential[position]).lower(),
                    str(example.special[position]).lower(),
                    *map(repr, values),
                ]
            )
    return out.getvalue()
