"""Parts shared by routes: the OpenAPI descriptions of their problem responses, and documents that browsers cache."""

import hashlib
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from prunescope.server.problems import MEDIA_TYPE

KEPT_SECONDS = 3600


class FieldProblem(BaseModel):
    field: str = Field(examples=["pattern.sparsity"])
    given: Any = Field(examples=[1.5])
    allowed: str | list[str] | None = Field(examples=["less than 1"])
    message: str = Field(examples=["1.5 is not allowed: should be less than 1"])


class ProblemDocument(BaseModel, title="Problem"):
    """An RFC 9457 problem document with the additional fields ``code`` and ``errors``."""

    type: str = Field(examples=["urn:prunescope:problem:bad-spec"])
    title: str = Field(examples=["The spec cannot be run"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["pattern.sparsity: 1.5 is not allowed: should be less than 1"])
    code: str = Field(examples=["bad-spec"])
    errors: list[FieldProblem]
    instance: str = Field(examples=["/api/v1/jobs"])


_MEANINGS = {
    "400": "The address holds what no name has",
    "403": "Sent by a page of another site",
    "404": "There is no such thing",
    "409": "Not possible in the present state",
    "413": "The request carries too much",
    "414": "The address is too long",
    "415": "The body is not JSON",
    "421": "Sent to a name that is not this server's",
    "422": "A field is wrong: which, what was given, what is allowed",
    "503": "Not now: Retry-After says after how many seconds to try again",
}
OF_ALL = ("400", "414", "421", "503")
"""Statuses with which the middleware can answer any request."""
OF_CHANGES = ("403", "413", "415")
"""Further statuses with which the middleware can answer a request that changes something."""


def problems(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    """The entry ``responses`` of a route for these problem statuses, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {"description": _MEANINGS[str(status)], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def kept(request: Request, mark: str, document: Callable[[], BaseModel]) -> Response:
    """The response with a document that never changes. Browsers cache it for KEPT_SECONDS, then revalidate by ETag; if
    the ETag matches, the response is 304 and ``document`` is not called.

    ``mark`` identifies the document. The (weak) ETag also depends on the program's version, since a newer version may
    add fields.
    """
    digest = hashlib.sha256(f"{request.app.version} {mark}".encode()).hexdigest()[:20]
    etag = f'W/"{digest}"'
    headers = {"etag": etag, "cache-control": f"private, max-age={KEPT_SECONDS}"}
    if etag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(document().model_dump_json(), media_type="application/json", headers=headers)
