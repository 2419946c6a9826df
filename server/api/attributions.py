"""Attributions over REST: overview, layers, neurons, a neuron's numbers as files."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from prunescope.server import urls
from prunescope.server.api.answers import Kept, problems
from prunescope.server.documents import (
    AttributionDocument,
    AttributionSummary,
    LayerHeatmap,
    NeuronDocument,
    NeuronRow,
    Page,
)
from prunescope.server.documents.answering import AnsweringDocument
from prunescope.server.figures.neuron import Asked, neuron_file
from prunescope.server.figures.palette import Theme
from prunescope.server.headers import FILE_POLICY
from prunescope.server.limits import drawings
from prunescope.server.read.answering import answering_document
from prunescope.server.read.attributions import attribution_document, attribution_list
from prunescope.server.read.layers import layer_heatmap
from prunescope.server.read.neurons import neuron_document, neuron_list
from prunescope.server.stores import Stores, StoresHere

router = APIRouter(tags=["Attributions"], prefix=urls.API)

Sort = Annotated[Literal["rank", "drop"], Query(description="best Score first, or largest drop first")]
Variant = Annotated[str | None, Query(description="the pruned variant that drops speak of; the first one else")]
OfExample = Annotated[int | None, Query(description="only this example, by its index")]


@router.get(urls.ATTRIBUTIONS, responses=problems(422), summary="Attributions, newest first")
def list_attributions(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[AttributionSummary]:
    return attribution_list(stores, cursor=cursor, limit=limit)


@router.get(urls.ATTRIBUTION, responses=problems(404, 422), summary="Words, Scores and damage of one attribution")
def get_attribution(
    stores: StoresHere,
    attribution: str,
    variant: Variant = None,
    word: str | None = None,
    layer: int | None = None,
    sort: Sort = "rank",
) -> AttributionDocument:
    opened = stores.attributions.get(attribution)
    record = stores.results.many("attribution", [attribution]).get(attribution)
    return attribution_document(opened, variant=variant, word=word, layer=layer, sort=sort, record=record)


@router.delete(urls.ATTRIBUTION, status_code=204, responses=problems(404, 409), summary="Remove an attribution")
def delete_attribution(stores: StoresHere, attribution: str) -> None:
    stores.results.delete("attribution", attribution)
    stores.attributions.forget(attribution)


@router.get(urls.LAYER, responses=problems(404, 422), summary="Neurons x tokens of one layer")
def get_layer(
    stores: StoresHere,
    attribution: str,
    layer: int,
    example: OfExample = None,
    sort: Sort = "rank",
    neurons: int = 32,
    cursor: str | None = None,
) -> LayerHeatmap:
    opened = stores.attributions.get(attribution)
    return layer_heatmap(opened, layer, example=example, sort=sort, neurons=neurons, cursor=cursor)


@router.get(urls.NEURONS, responses=problems(404, 422), summary="Neurons by rank or by drop")
def list_neurons(
    stores: StoresHere,
    attribution: str,
    layer: int | None = None,
    word: str | None = None,
    sort: Sort = "rank",
    variant: Variant = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[NeuronRow]:
    opened = stores.attributions.get(attribution)
    return neuron_list(opened, layer=layer, word=word, sort=sort, variant=variant, cursor=cursor, limit=limit)


@router.get(urls.ANSWERING, responses=problems(404, 422), summary="Which neurons answer to a word, or to one token")
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


@router.get(
    urls.NEURON,
    response_model=NeuronDocument,
    responses={304: {"description": "The browser has it already (If-None-Match)"}, **problems(404, 422)},
    summary="One neuron, side by side: the paper's Figure 1",
)
def get_neuron(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    opened = stores.attributions.get(attribution)
    document = Kept(f"{attribution} {opened.where.version} {layer} {neuron} {opened.label}")
    return document.unchanged(request) or document.answer(neuron_document(opened, layer, neuron))


@router.get(
    urls.HEATMAP,
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}, "image/svg+xml": {}, "image/png": {}, "text/html": {}}},
        **problems(404, 422, 503),
    },
    summary="A neuron as its page shows it, as csv, svg, png or html",
)
async def get_heatmap(
    request: Request,
    stores: StoresHere,
    attribution: str,
    layer: int,
    neuron: int,
    form: str,
    example: Annotated[str | None, Query(description="only this example, by its index, or 'telling'")] = None,
    variant: Annotated[str | None, Query(description="the pruned variant; a picture shows the first one else")] = None,
    activation: Annotated[
        Literal["relu", "raw", "abs"] | None,
        Query(description="as what activations are shown; the attribution's own else, in a csv raw"),
    ] = None,
    scale: Annotated[Literal["shared", "model"], Query(description="one scale, or one for each model")] = "shared",
    curve: Annotated[Literal["linear", "log"], Query(description="from a value to its shade")] = "linear",
    window: Annotated[Literal["full", "16"], Query(description="all tokens, or 16 to each side")] = "full",
    token: Annotated[int | None, Query(description="the token that is marked, by its place")] = None,
    theme: Annotated[Theme, Query(description="the colours of a picture")] = "light",
) -> Response:
    asked = Asked(example, variant, activation, scale, curve, window, token, theme)
    return await drawings(request).take(lambda: _heatmap(stores, attribution, layer, neuron, form, asked))


def _heatmap(stores: Stores, attribution: str, layer: int, neuron: int, form: str, asked: Asked) -> Response:
    opened = stores.attributions.get(attribution)
    file = neuron_file(neuron_document(opened, layer, neuron), form, asked)
    headers = {
        "content-disposition": f'attachment; filename="{file.name}"',
        "content-security-policy": FILE_POLICY,
        "cache-control": "private, max-age=60",
    }
    return Response(file.body, media_type=file.media_type, headers=headers)
