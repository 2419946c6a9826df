"""Exports a neuron as a CSV, SVG, PNG or HTML file; the query selects the same view as on the neuron's page."""

import csv
import io
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.opened import no_such_example
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.budget import check_figure, check_pixels
from prunescope.server.neurons.export.figure import neuron_figure
from prunescope.server.neurons.export.raster import png_of
from prunescope.server.neurons.export.svg import neuron_svg
from prunescope.server.neurons.page import TELLING, default_view, file_facts
from prunescope.server.neurons.tokens import read_example
from prunescope.server.neurons.view import View, transformed
from prunescope.server.site.formats import harmless
from prunescope.server.site.frame import environment
from prunescope.server.site.palette import PALETTES, Curve, Theme

EXAMPLE = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True)
class File:
    body: bytes
    media_type: str
    name: str


@dataclass(frozen=True)
class FigureQuery:
    """The query of an exported file, a dependency of the route. Parameters and defaults are those of the neuron's page,
    except that ``example`` None selects all examples."""

    example: Annotated[str | None, Query(description="only this example, by its index, or 'telling'")] = None
    variant: Annotated[str | None, Query(description="the pruned variant; a picture shows the first one else")] = None
    activation: Annotated[
        Literal["relu", "raw", "abs"] | None,
        Query(description="as what activations are shown; the attribution's own else, in a csv raw"),
    ] = None
    scale: Annotated[Literal["shared", "model"], Query(description="one scale, or one for each model")] = "shared"
    curve: Annotated[Curve, Query(description="from a value to its shade")] = "linear"
    window: Annotated[Literal["full", "16"], Query(description="all tokens, or 16 to each side")] = "full"
    token: Annotated[int | None, Query(description="the token that is marked, by its place")] = None
    theme: Annotated[Theme, Query(description="the colours of a picture")] = "light"


def neuron_file(neuron: NeuronDocument, form: str, asked: FigureQuery) -> File:
    """Export a neuron as ``form`` (csv, svg, png or html). Problem 422 for a wrong value or a figure that is too large,
    503 if the PNG cannot be drawn."""
    if form not in urls.HEATMAP_FORMS:
        raise bad_field("form", form, list(urls.HEATMAP_FORMS), unknown_name(form, urls.HEATMAP_FORMS))
    view, chosen = _view(neuron, asked)
    only = "" if asked.example is None else f"-example-{view.example}"
    name = f"{neuron.attribution}-L{neuron.layer}-N{neuron.neuron}{only}.{form}"
    if form == "csv":
        return File(_csv(neuron, view, chosen, asked).encode(), "text/csv; charset=utf-8", name)
    one = None if asked.example is None else view.example
    check_figure(neuron, chosen, one)
    figure = neuron_figure(neuron, view, chosen, PALETTES[asked.theme], file_facts(neuron, view))
    if form == "html":
        html = environment().get_template("neurons/export/figure.html").render(page=figure)
        return File(html.encode(), "text/html; charset=utf-8", name)
    svg = neuron_svg(figure)
    if form == "svg":
        return File(svg.encode(), "image/svg+xml; charset=utf-8", name)
    check_pixels(svg, neuron, one)
    return File(png_of(svg), "image/png", name)


def _view(neuron: NeuronDocument, asked: FigureQuery) -> tuple[View, list[int]]:
    """The view of a query, and the positions of the exported examples in the document."""
    default = default_view(neuron)
    names = [variant.name for variant in neuron.variants[1:]]
    if asked.variant is not None and asked.variant not in names:
        raise bad_field("variant", asked.variant, names, unknown_name(asked.variant, names))
    known = [each.index for each in neuron.examples]
    example = default.example
    if asked.example is not None and asked.example != TELLING:
        example = _example(asked.example, known)
    chosen = list(range(len(known))) if asked.example is None else [known.index(example)]
    longest = max(len(neuron.examples[place].tokens) for place in chosen)
    if asked.token is not None and not 0 <= asked.token < longest:
        allowed = f"0 to {longest - 1}"
        raise bad_field("token", asked.token, allowed, f"there is no token {asked.token}; the tokens are {allowed}")
    view = View(
        example=example,
        variant=asked.variant or default.variant,
        activation=asked.activation or default.activation,
        scale=asked.scale,
        curve=asked.curve,
        window=asked.window,
        token=asked.token,
    )
    return view, chosen


def _example(given: str, known: list[int]) -> int:
    if not EXAMPLE.fullmatch(given):
        allowed = [*map(str, known), TELLING]
        raise bad_field("example", given, allowed, unknown_name(given, allowed))
    if int(given) not in known:
        raise no_such_example(int(given), known)
    return int(given)


def _csv(neuron: NeuronDocument, view: View, chosen: list[int], asked: FigureQuery) -> str:
    """One row per token, with the activations of the dense model and of the variant in the query (None: of all
    variants), transformed by the activation in the query (None: raw).

    Numbers have all of their digits, as in the JSON document. `harmless` changes tokens that a spreadsheet would
    evaluate as formulas; ``token_id`` identifies the token exactly.
    """
    dense, *pruned = neuron.variants
    variants = [dense, *(variant for variant in pruned if asked.variant in (None, variant.name))]
    names = [harmless(variant.name) for variant in variants]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["example", "position", "token_id", "token", "influential", "special", *names])
    for place in chosen:
        example = neuron.examples[place]
        for position in read_example(neuron, view, place).shown:
            values = [transformed(each.activations[place][position], asked.activation or "raw") for each in variants]
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
