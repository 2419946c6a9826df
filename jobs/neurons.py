"""Parsing and formatting of the names of neurons (`L15/N2194`) and attention heads (`L3/H5`), with layers, neurons and
heads counted from 0."""

import re

from prunescope.jobs.problems import bad_field

_FORMS = (
    re.compile(r"[Ll](\d{1,6})/?[Nn](\d{1,9})"),  # L15/N2194, L15N2194
    re.compile(r"(\d{1,6})[.:](\d{1,9})"),  # 15.2194, 15:2194
)


def parse_neuron(text: str) -> tuple[int, int]:
    """(layer, neuron) from any accepted spelling of a neuron. Raises Problem (422) for any other text.

    >>> parse_neuron("15.2194") == parse_neuron("L15/N2194") == (15, 2194)
    True
    """
    for form in _FORMS:
        if match := form.fullmatch(text.strip()):
            return int(match[1]), int(match[2])
    allowed = "L15/N2194, L15N2194, 15.2194 or 15:2194"
    raise bad_field("neuron", text, allowed, f"{text!r} is no neuron; write {allowed}")


def format_neuron(layer: int, neuron: int) -> str:
    """The canonical spelling of a neuron, `L15/N2194`."""
    return f"L{layer}/N{neuron}"


def format_head(layer: int, head: int) -> str:
    """The spelling of an attention head, `L3/H5`."""
    return f"L{layer}/H{head}"
