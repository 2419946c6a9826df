"""Models over REST: what is known of them, their files, and the table of their matrices."""

import tarfile
from collections.abc import Iterator
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from prunescope.jobs.problems import conflict, not_found
from prunescope.jobs.references import PRUNED
from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.documents import ModelDocument, ModelSummary, Page
from prunescope.server.figures.matrices import matrices_csv
from prunescope.server.read.models import dense_models, model_document, model_list
from prunescope.server.stores import Stores, StoresHere

router = APIRouter(tags=["Models"], prefix=urls.API)

CHUNK = 1024 * 1024


@router.get(urls.MODELS, responses=problems(422), summary="Dense models, then pruned ones")
def list_models(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[ModelSummary]:
    return model_list(stores, cursor=cursor, limit=limit)


@router.get(
    urls.MODEL_DOWNLOAD,
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-tar": {}}}, **problems(404)},
    summary="A pruned model's folder as a tar file",
)
def download_model(stores: StoresHere, model: str) -> StreamingResponse:
    id = model.removeprefix(PRUNED)
    files = stores.artefacts.files("model", id)
    padded = sum(tarfile.BLOCKSIZE + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE for size in files.values())
    headers = {
        "content-disposition": f'attachment; filename="pruned-{id}.tar"',
        "content-length": str(padded + 2 * tarfile.BLOCKSIZE),
        "content-encoding": "identity",  # compressing gigabytes of weights would hold up every other request
    }
    return StreamingResponse(_tar(stores, id, files), media_type="application/x-tar", headers=headers)


@router.get(
    urls.MODEL_FILE,
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems(404)},
    summary="One file of a pruned model",
)
def download_model_file(stores: StoresHere, model: str, file: str) -> StreamingResponse:
    id = model.removeprefix(PRUNED)
    size = stores.artefacts.files("model", id).get(file)
    if size is None:
        raise not_found(f"file of model {id}", file)
    name = file.rpartition("/")[2]
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "content-length": str(size),
        "content-encoding": "identity",
    }
    return StreamingResponse(_file(stores, id, file), media_type="application/octet-stream", headers=headers)


@router.get(
    urls.MODEL_MATRICES,
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


@router.get(urls.MODEL, responses=problems(404), summary="One model, layer by layer")
def get_model(stores: StoresHere, model: str) -> ModelDocument:
    return model_document(stores, model)


@router.delete(urls.MODEL, status_code=204, responses=problems(404, 409), summary="Remove a pruned model")
def delete_model(stores: StoresHere, model: str) -> None:
    if any(model in spelled for spelled in dense_models(stores).values()):
        raise conflict(f"{model} is not one of the models that were pruned here; only those can be removed")
    stores.results.delete("model", model.removeprefix(PRUNED))


def _tar(stores: Stores, id: str, files: dict[str, int]) -> Iterator[bytes]:
    """The files one after another, a piece at a time: nothing is held in memory or written to disk."""
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
