"""How much work a study is, before it is submitted."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from prunescope.jobs.documents import Estimate, JobKind
from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.limits import submissions
from prunescope.server.read.form import EXAMPLES
from prunescope.server.stores import StoresHere
from prunescope.store import submission

router = APIRouter(tags=["Studies"], prefix=urls.API)


class EstimateRequest(BaseModel):
    """A study that is not submitted yet."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any] = Field(description="as for a job of kind study")
    force: StrictBool = Field(default=False, description="count what is known already as work too")


_EXAMPLES: dict[str, Any] = {"study": {"summary": "A small study", "value": {"spec": EXAMPLES[JobKind.STUDY]}}}


@router.post(urls.STUDY_ESTIMATE, responses=problems(422), summary="How much work a study is; nothing is queued")
async def estimate_study(
    http: Request, stores: StoresHere, request: Annotated[EstimateRequest, Body(openapi_examples=_EXAMPLES)]
) -> Estimate:
    """``known`` cells are queued, running or done already. ``seconds`` is the time of all new jobs one after another,
    by what earlier jobs of the same kind and model took, and null where one of them has no such forerunner."""
    return await submissions(http).take(lambda: submission.estimate(stores, request.spec, force=request.force))
