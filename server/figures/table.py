"""A neuron's numbers as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from server.documents import Example, NeuronDocument

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def neuron_csv(neuron: NeuronDocument, examples: Sequence[int]) -> str:
    """One row per token: where it stands, what it is, then each variant's signed raw activation.

    Numbers are written with all of their digits, as in the JSON document, and never altered. A spreadsheet would run
    a text cell that begins with ``=``, ``+``, ``-``, ``@`` or a control character as a formula, and such tokens
    do occur: they get an apostrophe in front, which spreadsheets take for "this is text". Programs that need the exact
    token have its ``token_id``.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    names = [variant.name for variant in neuron.variants]
    writer.writerow(["example", "position", "token_id", "token", "influential", "special", *map(harmless, names)])
    for index in examples:
        writer.writerows(_rows(neuron, neuron.examples[index], index))
    return out.getvalue()


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet computes.

    >>> harmless("=1+1"), harmless("badly")
    ("'=1+1", 'badly')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _rows(neuron: NeuronDocument, example: Example, index: int) -> Iterable[list[object]]:
    columns = [variant.activations[index] for variant in neuron.variants]
    for position, token in enumerate(example.tokens):
        yield [
            example.index,
            position,
            example.token_ids[position],
            harmless(token),
            _word(example.influential[position]),
            _word(example.special[position]),
            *(repr(column[position]) for column in columns),
        ]


def _word(value: bool) -> str:
    return "true" if value else "false"
