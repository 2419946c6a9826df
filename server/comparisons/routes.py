"""Addresses of the comparison of two attributions, and of the list of comparable attributions."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.page import attribution_frame, opened_crumb
from prunescope.server.comparisons.documents import ComparableAttributions, ComparisonDocument, NeuronPair
from prunescope.server.comparisons.neurons import neuron_pair
from prunescope.server.comparisons.page import ComparablePage, comparison_page, pair_page
from prunescope.server.comparisons.queries import comparable_attributions, comparison_document
from prunescope.server.site.asked import Asked
from prunescope.server.site.frame import Crumb, address, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Attributions"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

OfLayer = Annotated[
    str | None,
    Query(description="how many neurons of a layer count as its best: a number (50) or a share (5%, the default)"),
]


@api.get(urls.comparisons.route, responses=problems(404), summary="What an attribution can be compared with")
def list_comparable(stores: StoresHere, attribution: str) -> ComparableAttributions:
    return comparable_attributions(stores, attribution)


@pages.get(urls.comparisons.route)
def show_comparable(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request)
    opened = stores.attributions.get(attribution)
    document = comparable_attributions(stores, attribution)
    frame = attribution_frame(request, f"Compare {opened.label}", opened, opened_crumb(opened), notices=asked.notices)
    start_href = urls.new_job(kind="attribute", dense=document.model)
    return render("comparisons/choice", ComparablePage(frame, document, start_href))


@api.get(
    urls.comparison.route, responses=problems(404, 422), summary="Do the same neurons come out on top in another one"
)
def get_comparison(stores: StoresHere, attribution: str, other: str, top: OfLayer = None) -> ComparisonDocument:
    return comparison_document(stores.attributions.get(attribution), stores.attributions.get(other), top=top)


@pages.get(urls.comparison.route)
def show_comparison(request: Request, stores: StoresHere, attribution: str, other: str) -> Response:
    asked = Asked(request, "top")
    opened = stores.attributions.get(attribution)
    second = stores.attributions.get(other)
    document = asked.read(lambda: comparison_document(opened, second, top=asked.text("top")))
    title = f"{document.first.label} beside {document.second.label}"
    crumbs = (opened_crumb(opened), Crumb("Compare", urls.comparisons(attribution)))
    frame = attribution_frame(request, title, opened, *crumbs, scripts=("site/charts",), notices=asked.notices)
    return render("comparisons/comparison", comparison_page(document, frame, here=address(request)))


@api.get(
    urls.beside.route, responses=problems(404, 422), summary="A neuron beside another one, and those active with it"
)
def get_beside(
    stores: StoresHere,
    attribution: str,
    layer: int,
    neuron: int,
    other: Annotated[str | None, Query(description="the other neuron: L2/N354 or 2.354")] = None,
    of: Annotated[str | None, Query(description="the attribution of the other neuron; the same else")] = None,
    example: int | None = None,
    variant: str | None = None,
) -> NeuronPair:
    return neuron_pair(
        stores.attributions.get, attribution, layer, neuron, other=other, of=of, example=example, variant=variant
    )


@pages.get(urls.beside.route)
def show_beside(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    asked = Asked(request, "other", "of", "example", "variant")
    opened = stores.attributions.get(attribution)
    document = asked.read(
        lambda: neuron_pair(
            stores.attributions.get,
            attribution,
            layer,
            neuron,
            other=asked.text("other") or None,
            of=asked.text("of") or None,
            example=asked.whole("example"),
            variant=asked.text("variant"),
        )
    )
    crumbs = (
        opened_crumb(opened),
        Crumb(f"Layer {layer}", urls.layer(attribution, layer)),
        Crumb(document.first.name, document.first.href),
    )
    frame = attribution_frame(request, f"{document.first.name} beside others", opened, *crumbs, notices=asked.notices)
    others = {attribution: opened.label} | {
        item.id: item.label for item in comparable_attributions(stores, attribution).items
    }
    return render(
        "comparisons/beside", pair_page(document, frame, others, asked.text("of"), opened, asked.text("variant"))
    )
