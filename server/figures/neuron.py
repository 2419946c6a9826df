"""A neuron's document as a file in one of four forms, all with the same numbers."""

from dataclasses import dataclass

from jobs.problems import bad_field, unknown_name
from server import urls
from server.documents import NeuronDocument
from server.figures.budget import check_figure, check_pixels
from server.figures.page import neuron_html
from server.figures.panes import figure_rows
from server.figures.raster import png_of
from server.figures.svg import neuron_svg
from server.figures.table import neuron_csv
from server.read.opened import no_such_example

ZOOM = 2.0
"""Pixels of a PNG for one of the SVG, so that it stays sharp on paper."""


@dataclass(frozen=True)
class File:
    body: bytes
    media_type: str
    name: str


def neuron_file(neuron: NeuronDocument, form: str, example: int | None = None) -> File:
    """All examples, or one. Problem 422 for an unknown example, a form or for too large a picture."""
    if form not in urls.HEATMAP_FORMS:
        raise bad_field("form", form, list(urls.HEATMAP_FORMS), unknown_name(form, urls.HEATMAP_FORMS))
    known = [each.index for each in neuron.examples]
    if example is not None and example not in known:
        raise no_such_example(example, known)
    chosen = range(len(known)) if example is None else [known.index(example)]
    only = "" if example is None else f"-example-{example}"
    name = f"{neuron.attribution}-L{neuron.layer}-N{neuron.neuron}{only}.{form}"
    if form == "csv":
        return File(neuron_csv(neuron, chosen).encode(), "text/csv; charset=utf-8", name)
    check_figure(neuron, chosen, example)
    rows = figure_rows(neuron, chosen)
    if form == "html":
        return File(neuron_html(neuron, rows).encode(), "text/html; charset=utf-8", name)
    svg = neuron_svg(neuron, rows)
    if form == "svg":
        return File(svg.encode(), "image/svg+xml; charset=utf-8", name)
    check_pixels(svg, ZOOM, neuron, example)
    return File(png_of(svg, ZOOM), "image/png", name)
