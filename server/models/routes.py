"""Routes of models: the list, one model, its files, the CSV file of its matrices."""

import tarfile
from collections.abc import Iterator
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from prunescope.jobs.problems import conflict, not_found
from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.models.documents import ModelDocument, ModelSummary
from prunescope.server.models.matrices import SHOWN, matrices_csv
from prunescope.server.models.page import ModelsPage, model_page
from prunescope.server.models.queries import dense_models, model_document, model_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import MODELS, Frame, address, render
from prunescope.server.stores import Stores, StoresHere

api = APIRouter(prefix=urls.API, tags=["Models"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CHUNK = 1024 * 1024


@api.get(urls.models.route, responses=problems(422), summary="Dense models, then pruned ones")
def list_models(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[ModelSummary]:
    return model_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.models.route)
def show_models(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: model_list(stores, cursor=asked.text("cursor")))
    frame = Frame(request, "Models", section="Models", notices=asked.notices)
    return render("models/list", ModelsPage(frame, page))


@api.get(
    urls.model_download.route,
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-tar": {}}}, **problems(404)},
    summary="A pruned model's folder as a tar file",
)
def download_model(stores: StoresHere, model: str) -> StreamingResponse:
    id = model.removeprefix(PRUNED)
    files = stores.artefacts.files("model", id)
    padded = sum(tarfile.BLOCKSIZE + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE for size in files.values())
    size = padded + 2 * tarfile.BLOCKSIZE
    return _download(_tar(stores, id, files), "application/x-tar", size, f'filename="pruned-{id}.tar"')


@api.get(
    urls.model_file.route,
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404)},
    summary="One file of a pruned model",
)
def download_model_file(stores: StoresHere, model: str, file: str) -> StreamingResponse:
    id = model.removeprefix(PRUNED)
    size = stores.artefacts.files("model", id).get(file)
    if size is None:
        raise not_found(f"file of model {id}", file)
    name = quote(file.rpartition("/")[2])
    return _download(_file(stores, id, file), "application/octet-stream", size, f"filename*=UTF-8''{name}")


def _download(pieces: Iterator[bytes], media_type: str, size: int, name: str) -> StreamingResponse:
    headers = {
        "content-disposition": f"attachment; {name}",
        "content-length": str(size),
        "content-encoding": "identity",  # compressing gigabytes of weights would delay all other requests
    }
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


@api.get(
    urls.model_matrices.route,
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}, **problems(404)},
    summary="Sparsity and error of every matrix as CSV",
)
def get_matrices(stores: StoresHere, model: str) -> Response:
    document = model_document(stores, model)
    if not document.layers:
        raise not_found("table of matrices for model", model)
    name = f"matrices-{document.id.rpartition('/')[2]}.csv"
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(matrices_csv(document), media_type="text/csv", headers=headers)


# The same CSV file is available below the address of the page.
pages.add_api_route(urls.model_matrices.route, get_matrices, response_class=Response)


@api.get(urls.model.route, responses=problems(404), summary="One model, layer by layer")
def get_model(stores: StoresHere, model: str) -> ModelDocument:
    return model_document(stores, model)


@pages.get(urls.model.route)
def show_model(request: Request, stores: StoresHere, model: str) -> Response:
    asked = Asked(request, "map")
    document = model_document(stores, model)
    shown = asked.read(lambda: asked.one_of("map", SHOWN))
    scripts = ("site/views", "site/maps") if document.layers else ()
    frame = Frame(request, document.label, MODELS, section="Models", scripts=scripts, notices=asked.notices)
    return render("models/model", model_page(document, frame, here=address(request), shown=shown))


@api.delete(urls.model.route, status_code=204, responses=problems(404, 409), summary="Remove a pruned model")
def delete_model(stores: StoresHere, model: str) -> None:
    if any(model in spelled for spelled in dense_models(stores).values()):
        raise conflict(f"{model} is not one of the models that were pruned here; only those can be removed")
    stores.results.delete("model", model.removeprefix(PRUNED))


def _tar(stores: Stores, id: str, files: dict[str, int]) -> Iterator[bytes]:
    """Yield the tar file of a model in pieces, so that it is never complete in memory or on disk."""
    for name, size in files.items():
        about = tarfile.TarInfo(f"pruned-{id}/{name}")
        about.size = size
        yield about.tobuf(tarfile.USTAR_FORMAT)
        yield from _file(stores, id, name)
        yield b"\0" * (-size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _file(stores: Stores, id: str, name: str) -> Iterator[bytes]:
    with stores.artefacts.open("model", id, name) as stream:
        while piece := stream.read(CHUNK):
            yield piece
