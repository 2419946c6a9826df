"""Two attributions of one model over REST."""

from typing import Annotated

from fastapi import APIRouter, Query

from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.documents.comparisons import ComparableAttributions, ComparisonDocument
from prunescope.server.read.comparisons import comparable_attributions, comparison_document
from prunescope.server.stores import StoresHere

router = APIRouter(tags=["Attributions"], prefix=urls.API)

OfLayer = Annotated[
    str | None,
    Query(description="how many neurons of a layer count as its best: a number (50) or a share (5%, the default)"),
]


@router.get(urls.COMPARISONS, responses=problems(404), summary="What an attribution can be compared with")
def list_comparable(stores: StoresHere, attribution: str) -> ComparableAttributions:
    return comparable_attributions(stores, attribution)


@router.get(urls.COMPARISON, responses=problems(404, 422), summary="Do the same neurons come out on top in another one")
def get_comparison(stores: StoresHere, attribution: str, other: str, top: OfLayer = None) -> ComparisonDocument:
    return comparison_document(stores.attributions.get(attribution), stores.attributions.get(other), top=top)
