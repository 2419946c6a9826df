"""Exports a neuron as a CSV, SVG, PNG, HTML or LaTeX file; the query selects the same view as on the neuron's page."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.export.caption import caption_of
from prunescope.server.neurons.export.figure import check_figure, check_pixels, neuron_figure, panes_of
from prunescope.server.neurons.export.latex import neuron_latex
from prunescope.server.neurons.export.raster import kept_png_of
from prunescope.server.neurons.export.svg import neuron_svg
from prunescope.server.neurons.page import file_facts, neuron_view
from prunescope.server.neurons.reading import read_examples
from prunescope.server.neurons.view import ALL, NeuronView, transformed
from prunescope.server.site.formats import harmless
from prunescope.server.site.frame import environment
from prunescope.server.site.palette import PALETTES, Curve, Theme


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
    variant: Annotated[
        str | None, Query(description="the pruned variant, or 'all'; a picture shows the first one else")
    ] = None
    activation: Annotated[
        Literal["relu", "raw", "abs"] | None,
        Query(description="as what activations are shown; the attribution's own else, in a csv raw"),
    ] = None
    scale: Annotated[
        Literal["shared", "model", "neuron"], Query(description="one scale, one for each model, or one for all texts")
    ] = "shared"
    curve: Annotated[Curve, Query(description="from a value to its shade")] = "linear"
    window: Annotated[Literal["full", "16"], Query(description="all tokens, or 16 to each side")] = "full"
    token: Annotated[int | None, Query(description="the token that is marked, by its place")] = None
    span: Annotated[str | None, Query(description="the tokens that are selected, such as 12-18")] = None
    prompt: Annotated[
        Literal["shown", "folded"],
        Query(description="whether the tokens that all texts begin and end with are left out"),
    ] = "shown"
    breaks: Annotated[Literal["kept", "joined"], Query(description="whether newlines break lines")] = "kept"
    theme: Annotated[Theme, Query(description="the colours of a picture")] = "light"
    caption: Annotated[bool, Query(description="whether a csv begins with its caption, in lines that begin with #")] = (
        False
    )


def neuron_file(neuron: NeuronDocument, form: str, asked: FigureQuery) -> File:
    """Export a neuron as ``form`` (csv, svg, png, html or tex). Problem 422 for a wrong value or a figure that is
    too large, 503 if the PNG cannot be drawn."""
    if form not in urls.HEATMAP_FORMS:
        raise bad_field("form", form, list(urls.HEATMAP_FORMS), unknown_name(form, urls.HEATMAP_FORMS))
    given = {key: str(value) for key, value in vars(asked).items() if value is not None}
    view = neuron_view(neuron, given, every=asked.example is None)
    one = None if asked.example is None else view.example
    chosen = [place for place, example in enumerate(neuron.examples) if one in (None, example.index)]
    only = "" if one is None else f"-example-{one}"
    name = f"{neuron.attribution}-L{neuron.layer}-N{neuron.neuron}{only}.{form}"
    caption = caption_of(neuron, form, _options(neuron, form, asked, view))
    if form == "csv":
        head = "".join(f"# {line}\r\n" for line in caption.comments) if asked.caption else ""
        return File((head + _csv(neuron, view, chosen, asked)).encode(), "text/csv; charset=utf-8", name)
    check_figure(neuron, panes_of(neuron, view), chosen, one)
    figure = neuron_figure(neuron, view, chosen, PALETTES[asked.theme], file_facts(neuron, view), caption)
    if form == "tex":
        label = f"fig:{neuron.attribution}-L{neuron.layer}-N{neuron.neuron}"
        return File(neuron_latex(figure, label).encode(), "application/x-tex; charset=utf-8", name)
    if form == "html":
        html = environment().get_template("neurons/export/figure.html").render(page=figure)
        return File(html.encode(), "text/html; charset=utf-8", name)
    svg = neuron_svg(figure)
    if form == "svg":
        return File(svg.encode(), "image/svg+xml; charset=utf-8", name)
    check_pixels(svg, neuron, one)
    return File(kept_png_of(svg), "image/png", name)


def _options(neuron: NeuronDocument, form: str, asked: FigureQuery, view: NeuronView) -> dict[str, str | int]:
    """The arguments of the Python API's ``export`` for a query. A CSV differs from a picture without variant and
    activation, so it names those of the query."""
    defaults = {**vars(FigureQuery()), "caption": asked.caption}
    if form != "csv":
        defaults |= {"variant": neuron.variants[1].name, "activation": neuron.activation}
    given = {name: value for name, value in vars(asked).items() if value not in (None, defaults[name])}
    return {**given, "example": "all" if asked.example is None else view.example}


def _csv(neuron: NeuronDocument, view: NeuronView, chosen: list[int], asked: FigureQuery) -> str:
    """One row per token, with the activations of the dense model and of the variant in the query (None or ALL: of
    all variants), transformed by the activation in the query (None: raw). Then, where they were measured, the own and
    upstream parts of each variant's raw change, and the divergence of its prediction of the next token in nats.

    Numbers have all of their digits, as in the JSON document. `harmless` changes tokens that a spreadsheet would
    evaluate as formulas; ``token_id`` identifies the token exactly.
    """
    dense, *pruned = neuron.variants
    variants = [dense, *(variant for variant in pruned if asked.variant in (None, ALL, variant.name))]
    names = [harmless(variant.name) for variant in variants]
    out = io.StringIO()
    writer = csv.writer(out)
    measured = [variant for variant in variants if variant.own is not None or variant.divergence is not None]
    causes = [harmless(f"{variant.name} {kind}") for variant in measured for kind in ("own", "upstream", "kl")]
    writer.writerow(["example", "position", "token_id", "token", "influential", "special", *names, *causes])
    for place, reading in zip(chosen, read_examples(neuron, view, chosen), strict=True):
        example = reading.example
        for position in reading.positions:
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
                    *(cause for variant in measured for cause in _causes(dense, variant, place, position)),
                ]
            )
    return out.getvalue()


def _causes(dense: Variant, variant: Variant, place: int, position: int) -> list[str]:
    """Own part, upstream part and divergence at one token; empty texts where they were not measured."""
    own = variant.own[place][position] if variant.own else None
    change = variant.activations[place][position] - dense.activations[place][position]
    divergence = variant.divergence[place][position] if variant.divergence else None
    return ["" if value is None else repr(value) for value in (own, None if own is None else change - own, divergence)]
