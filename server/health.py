"""The health checks `/healthz` (the process answers) and `/readyz` (database, Redis and artefacts answer too)."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text

from prunescope.jobs.problems import RETRY_SECONDS
from prunescope.server import urls
from prunescope.server.stores import StoresHere

router = APIRouter(tags=["Machines"])


@router.get(urls.HEALTHZ, summary="The server answers")
async def healthz() -> dict[str, str]:
    # `async`, so that it runs on the event loop and answers even while all threads are busy.
    return {"status": "ok"}


@router.get(
    urls.READYZ,
    summary="Database, Redis and artefacts answer",
    responses={503: {"description": "One of them does not; the same document"}},
)
def readyz(stores: StoresHere) -> JSONResponse:
    def ask_database() -> None:
        with stores.database.reading() as connection:
            connection.execute(text("SELECT 1"))

    checks = {
        "database": _state(ask_database),
        "redis": _state(stores.redis.ping),
        "artefacts": _state(lambda: stores.artefacts.exists("model", "0" * 16)),
    }
    if all(state == "ok" for state in checks.values()):
        return JSONResponse({"status": "ready", "checks": checks})
    return JSONResponse({"status": "not ready", "checks": checks}, 503, {"retry-after": str(RETRY_SECONDS)})


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception:  # any error means that this part does not work
        return "cannot be reached"
    return "ok"
