"""The web application: ``create_app(settings)`` connects its features, middleware and error handlers."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from prunescope.jobs.settings import Settings
from prunescope.server import health, static, urls
from prunescope.server.answers import OF_ALL, OF_CHANGES, ProblemDocument, problems
from prunescope.server.attributions import routes as attributions
from prunescope.server.comparisons import routes as comparisons
from prunescope.server.corpora import routes as corpora
from prunescope.server.evaluations import routes as evaluations
from prunescope.server.explanations import routes as explanations
from prunescope.server.head import Head
from prunescope.server.jobs import routes as jobs
from prunescope.server.limits import Limits
from prunescope.server.models import routes as models
from prunescope.server.neurons import routes as neurons
from prunescope.server.new_job import routes as new_job
from prunescope.server.problems import add_handlers
from prunescope.server.security import Security
from prunescope.server.shares import opening
from prunescope.server.shares import routes as shares
from prunescope.server.site import glossary, guide, home, search
from prunescope.server.site.frame import error_page
from prunescope.server.site.permalinks import removed
from prunescope.server.stores import Stores
from prunescope.server.studies import routes as studies
from prunescope.server.sweeper import sweep_for_ever
from prunescope.server.texts import routes as texts

DESCRIPTION = """\
Prunescope shows what pruning took out of a language model. Every page's path with `/api/v1` before it is the same
document as JSON. Lists are `{"items": [...], "next": cursor | null}`; errors are RFC 9457 problem documents.
"""


def create_app(settings: Settings) -> FastAPI:
    """The application. When it starts, it migrates the database and starts the sweeper."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stores = app.state.stores
        await run_in_threadpool(stores.database.migrate)
        sweeper = asyncio.create_task(sweep_for_ever(stores))
        try:
            yield
        finally:
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper
            await stores.close_all()

    app = FastAPI(
        title="Prunescope",
        version=version("prunescope"),
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=urls.OPENAPI,
        docs_url=None,  # FastAPI's own page loads its script from another site
        redoc_url=None,
    )
    app.state.stores = Stores.open(settings)
    add_handlers(app, error_page, removed)
    app.add_middleware(Head)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=2)
    app.add_middleware(Limits)
    app.add_middleware(Security, render=error_page, allowed_hosts=(*settings.allowed_hosts, settings.host))
    results = (models, studies, evaluations, explanations, corpora, attributions, neurons, comparisons, texts)
    features = (new_job, jobs, *results, shares, home, search, glossary, guide)
    for router in (*(feature.api for feature in features), health.router, static.router):
        app.include_router(router)
    app.router.routes.append(Route(urls.shared.route, opening.SharedPage(), methods=["GET"]))
    for feature in features:
        app.include_router(feature.pages)
    _describe(app)
    return app


def freeze_loaded_objects() -> None:
    """Exclude all objects that exist from garbage collection. Otherwise each full collection visits 150,000 objects of
    modules and Pydantic models, which blocks all requests for 0.1 s."""
    gc.collect()
    gc.freeze()


def _describe(app: FastAPI) -> None:
    """Add to the OpenAPI document the schema of problem documents and the statuses of the middleware's responses."""
    generate = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs"), Problem=schema)
        for methods in document["paths"].values():
            for method, operation in methods.items():
                _describe_statuses(method, operation)
        del schemas["HTTPValidationError"], schemas["ValidationError"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_statuses(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # FastAPI adds its own 422, which this application never sends, to every route with parameters. Ours replaces it,
    # except where all parameters are texts, since any text is valid.
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
        if "requestBody" in operation or not all(_accepts_any_text(each) for each in operation["parameters"]):
            responses.update(problems("422"))
    for status, problem in problems(*OF_ALL, *(() if method == "get" else OF_CHANGES)).items():
        responses.setdefault(status, problem)
    operation["responses"] = dict(sorted(responses.items()))


def _accepts_any_text(parameter: dict[str, Any]) -> bool:
    schema = parameter["schema"]
    forms = [form for form in schema.get("anyOf", [schema]) if form != {"type": "null"}]
    return all(form.get("type") == "string" and not {"enum", "pattern", "maxLength"} & {*form} for form in forms)
