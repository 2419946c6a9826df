"""`/healthz` (the process answers) and `/readyz` (database, Redis and artefacts answer too)."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import text

from prunescope.jobs.problems import RETRY_SECONDS
from prunescope.server import urls
from prunescope.server.stores import Stores, StoresHere

router = APIRouter(tags=["Machines"])


@router.get(urls.HEALTHZ, summary="The server answers")
async def healthz() -> dict[str, str]:
    # On the event loop: it answers also while every thread waits for something.
    return {"status": "ok"}


@router.get(
    urls.READYZ,
    summary="Database, Redis and artefacts answer",
    responses={503: {"description": "One of them does not; the same document"}},
)
def readyz(stores: StoresHere) -> JSONResponse:
    parts = {"database": _database, "redis": _redis, "artefacts": _artefacts}
    checks = {name: _works(check, stores) for name, check in parts.items()}
    ready = all(checks.values())
    words = {name: "ok" if works else "cannot be reached" for name, works in checks.items()}
    document = {"status": "ready" if ready else "not ready", "checks": words}
    return JSONResponse(document) if ready else JSONResponse(document, 503, {"retry-after": str(RETRY_SECONDS)})


def _works(check: Callable[[Stores], object], stores: Stores) -> bool:
    try:
        check(stores)
    except Exception:  # whatever it is, this part does not work; its own log says more
        return False
    return True


def _database(stores: Stores) -> None:
    with stores.database.reading() as connection:
        connection.execute(text("SELECT 1"))


def _redis(stores: Stores) -> None:
    stores.redis.ping()


def _artefacts(stores: Stores) -> None:
    stores.artefacts.exists("model", "0" * 16)
