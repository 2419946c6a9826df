"""A study's table as a file, and all of its measurements as one."""

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.filters import Filters
from prunescope.server.headers import FILE_POLICY
from prunescope.server.read.studies import measured_by, study_document
from prunescope.server.stores import StoresHere
from prunescope.server.tables.cells import cells_csv
from prunescope.server.tables.file import table_file
from prunescope.store.measured import ACCURACY

router = APIRouter(tags=["Studies"], prefix=urls.API)


@router.get(
    urls.STUDY_TABLE,
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}, "application/x-tex": {}, "text/html": {}, "application/json": {}}},
        **problems(404, 422),
    },
    summary="A study's table as csv, tex, html or json",
)
def get_table(
    stores: StoresHere,
    where: Filters,
    study: str,
    form: str,
    rows: str | None = None,
    columns: str | None = None,
    measure: str | None = None,
    show: str | None = None,
    published: str | None = None,
) -> Response:
    """The same parameters as the study's page: the file holds the table that the page shows."""
    document = study_document(
        stores, study, rows=rows, columns=columns, measure=measure, show=show, published=published, where=where
    )
    file = table_file(document, form)
    headers = {
        "content-disposition": f'attachment; filename="{file.name}"',
        "content-security-policy": FILE_POLICY,
        "cache-control": "no-cache",
    }
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.get(
    urls.STUDY_CELLS,
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}, **problems(404, 422)},
    summary="All measurements of a study as CSV, with every setting",
)
def get_cells(stores: StoresHere, study: str, measure: str | None = None) -> StreamingResponse:
    spec = stores.results.get("study", study).spec
    table = stores.studies.table(study, measured_by(spec, measure))
    prune = {cell.job: cell.artefact for cell in table.cells if cell.kind is JobKind.PRUNE}
    pruning = {prune[job.id]: job.spec for job in stores.jobs.many(prune).values()}
    of = "" if table.measure == ACCURACY else f"-{table.measure}"
    headers = {"content-disposition": f'attachment; filename="study-{table.id}{of}-cells.csv"'}
    return StreamingResponse(cells_csv(table, pruning), media_type="text/csv; charset=utf-8", headers=headers)
