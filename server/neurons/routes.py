"""Addresses of an attribution's layers and neurons: lists, one neuron, exported files, the neurons of a word."""

from typing import Annotated, cast, get_args

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prunescope.server import urls
from prunescope.server.answers import kept, problems
from prunescope.server.attributions.documents import NeuronRow
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import Target, own_text_form, text_panel
from prunescope.server.attributions.page import attribution_frame, opened_crumb
from prunescope.server.attributions.queries import By, margins, with_margin
from prunescope.server.attributions.routes import Order, Sort, Variant
from prunescope.server.corpora.page import does_card
from prunescope.server.explanations.shares import MarginShares
from prunescope.server.headers import EMBED_POLICY, FILE_POLICY
from prunescope.server.neurons.answering_page import answering_page
from prunescope.server.neurons.documents import AnsweringDocument, LayerHeatmap, LayerSort, NeuronDocument
from prunescope.server.neurons.export.files import FigureQuery, neuron_file
from prunescope.server.neurons.layer_page import ROWS, layer_page
from prunescope.server.neurons.page import PANELS, neuron_page, neuron_view, read_panels
from prunescope.server.neurons.queries import (
    answering_document,
    layer_heatmap,
    most_rows,
    neuron_document,
    variant_margins,
)
from prunescope.server.neurons.reading import shown_variants
from prunescope.server.neurons.view import ALL, NEURON_VIEW, VIEW, read_view
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page, Window
from prunescope.server.site.frame import Crumb, address, render
from prunescope.server.stores import Stores, StoresHere

api = APIRouter(prefix=urls.API, tags=["Attributions"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_LISTED = 500
DENSE = "dense"
"""The name of the variant of the dense model."""


@api.get(urls.layer.route, responses=problems(404, 422), summary="Neurons x tokens of one layer")
def get_layer(
    stores: StoresHere,
    attribution: str,
    layer: int,
    example: Annotated[int | None, Query(description="only this example, by its index")] = None,
    sort: Annotated[LayerSort, Query(description="by Score, by drop, or by margin share")] = "rank",
    neurons: int = 32,
    cursor: str | None = None,
) -> LayerHeatmap:
    opened = stores.attributions.get(attribution)
    shares = _shares(stores, opened, sort, None)
    return layer_heatmap(opened, layer, example=example, sort=sort, shares=shares, neurons=neurons, cursor=cursor)


@pages.get(urls.layer.route)
def show_layer(request: Request, stores: StoresHere, attribution: str, layer: int) -> Response:
    asked = Asked(request, "sort", "cursor", *VIEW)
    opened = stores.attributions.get(attribution)

    def heatmap() -> LayerHeatmap:
        sort = cast(LayerSort, asked.one_of("sort", get_args(LayerSort)) or "rank")
        example, cursor = asked.whole("example"), asked.text("cursor")
        rows = min(ROWS, most_rows(opened, example))
        shares = _shares(stores, opened, sort, asked.text("variant"))
        return layer_heatmap(opened, layer, example=example, sort=sort, shares=shares, neurons=rows, cursor=cursor)

    document = asked.read(heatmap)
    view = asked.read(
        lambda: read_view(
            asked.values,
            examples=[example.index for example in document.examples],
            variants=[variant.name for variant in document.variants[1:]],
            activation=opened.summary.activation,
        )
    )
    title = f"Layer {layer} · {opened.label}"
    crumb = opened_crumb(opened)
    frame = attribution_frame(request, title, opened, crumb, scripts=("neurons/layer",), notices=asked.notices)
    return render("neurons/layer", layer_page(opened, document, view, frame, address(request)))


def _shares(stores: Stores, opened: OpenAttribution, sort: LayerSort, variant: str | None) -> MarginShares | None:
    """The margin shares of a pruned variant, by default of the first; None without an explanation. Raises Problem 422
    if the order ``sort`` needs them."""
    by: By = "margin" if sort == "margin" else "score"
    return margins(stores, opened, opened.variant(variant), by=by, field="sort")[1]


@api.get(urls.neurons.route, responses=problems(404, 422), summary="Neurons by rank, drop or margin share")
def list_neurons(
    stores: StoresHere,
    attribution: str,
    layer: int | None = None,
    word: str | None = None,
    sort: Sort = "rank",
    by: Order = "score",
    variant: Variant = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[NeuronRow]:
    opened = stores.attributions.get(attribution)
    window = Window.parse(cursor, limit, MAX_LISTED)
    opened.check_layer(layer)
    chosen = opened.variant(variant)
    _, shares = margins(stores, opened, chosen, by=by)
    rows, total = opened.tables.neurons(
        layer=layer,
        word=word,
        sort=sort,
        by=shares.share if shares and by == "margin" else None,
        variant=chosen,
        offset=window.offset,
        limit=window.limit,
    )
    after = window.after(total)
    state: dict[str, urls.State] = {"by": None if by == "score" else by, "variant": variant, "limit": limit}
    here = urls.neurons(attribution, layer=layer, word=word, sort=sort, **state, cursor=after)
    items = [with_margin(opened.row(row), shares) for row in rows]
    return Page[NeuronRow](items=items, next=after, next_href=here if after else None)


@api.get(urls.answering.route, responses=problems(404, 422), summary="Which neurons respond to a word, or to one token")
def list_answering(
    stores: StoresHere,
    attribution: str,
    word: str | None = None,
    example: Annotated[int | None, Query(description="the token's example, by its index; the first one else")] = None,
    token: Annotated[int | None, Query(description="a token of the example, by its place from 0")] = None,
    layer: int | None = None,
) -> AnsweringDocument:
    opened = stores.attributions.get(attribution)
    return answering_document(opened, word=word, example=example, token=token, layer=layer)


@pages.get(urls.answering.route)
def show_answering(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "word", "example", "token", "layer")
    opened = stores.attributions.get(attribution)

    def answering() -> AnsweringDocument:
        word, example, token = asked.text("word"), asked.whole("example"), asked.whole("token")
        if word is None and token is None:
            if example is not None:
                opened.place_of(example)  # an unknown one has a notice, although no token of it was asked for
            word, example = opened.tables.words(opened.variant(None))[0].word, None  # the most damaged one
        return answering_document(opened, word=word, example=example, token=token, layer=asked.whole("layer"))

    document = asked.read(answering)
    if document.token is None and asked.text("word") is None and not asked.notices:
        return RedirectResponse(document.href, status_code=303)
    frame = attribution_frame(request, "Which neurons respond", opened, opened_crumb(opened), notices=asked.notices)
    return render("neurons/answering", answering_page(document, frame, here=address(request)))


@api.get(
    urls.neuron.route,
    response_model=NeuronDocument,
    responses={304: {"description": "The browser has it already (If-None-Match)"}, **problems(404, 422)},
    summary="One neuron, side by side: the paper's Figure 1",
)
def get_neuron(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    opened = stores.attributions.get(attribution)
    margins = variant_margins(stores, opened)
    explained = [each.id for found in margins.values() for each in found]
    mark = f"{attribution} {opened.where.version} {layer} {neuron} {opened.label} {explained}"
    return kept(request, mark, lambda: neuron_document(opened, layer, neuron, margins))


@pages.get(urls.neuron.route)
def show_neuron(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    asked = Asked(request, *NEURON_VIEW, "embed", "panels")
    opened = stores.attributions.get(attribution)
    document = neuron_document(opened, layer, neuron, variant_margins(stores, opened))
    view = asked.read(lambda: neuron_view(document, asked.values))
    embedded = asked.read(lambda: asked.one_of("embed", ("true", "false"))) == "true"
    panels = asked.read(lambda: read_panels(asked.text("panels"))) if embedded else PANELS
    crumbs = (opened_crumb(opened), Crumb(f"Layer {layer}", document.layer_href))
    title = f"{document.name} · {document.label}"
    frame = attribution_frame(
        request, title, opened, *crumbs, scripts=("neurons/neuron", "texts/texts"), notices=asked.notices
    )
    chosen = None if view.variant == ALL else asked.text("variant")
    own = text_panel(Target(attribution, document.name, chosen), own_text_form(opened))
    references = dict(zip(opened.store.variants, opened.store.models, strict=True))
    first = shown_variants(document, view)[0]
    does = does_card(stores, references[DENSE], references[first.name], layer, neuron)
    if embedded:
        frame.embed()
    page = neuron_page(document, view, frame, address(request), own, does, panels)
    response = render("neurons/neuron", page)
    if embedded:
        response.headers["content-security-policy"] = EMBED_POLICY
    return response


@api.get(
    urls.heatmap.route,
    response_class=Response,
    responses={
        200: {
            "content": {"text/csv": {}, "image/svg+xml": {}, "image/png": {}, "text/html": {}, "application/x-tex": {}}
        },
        **problems(404, 422, 503),
    },
    summary="A neuron as its page shows it, as csv, svg, png, html or tex",
)
async def get_heatmap(
    stores: StoresHere,
    attribution: str,
    layer: int,
    neuron: int,
    form: str,
    asked: Annotated[FigureQuery, Depends()],
) -> Response:
    def draw() -> Response:
        document = neuron_document(stores.attributions.get(attribution), layer, neuron)
        file = neuron_file(document, form, asked)
        headers = {
            "content-disposition": f'attachment; filename="{file.name}"',
            "content-security-policy": FILE_POLICY,
            "cache-control": "private, max-age=60",
        }
        return Response(file.body, media_type=file.media_type, headers=headers)

    return await stores.drawings.take(draw)
