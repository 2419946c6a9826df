"""Models, evaluations and studies over REST."""

import tarfile
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from jobs.problems import conflict
from jobs.references import PRUNED
from server import urls
from server.api.answers import problems
from server.documents import (
    EvaluationDocument,
    EvaluationSummary,
    ModelDocument,
    ModelSummary,
    Page,
    StudyDocument,
    StudySummary,
    TaskExamples,
)
from server.read.evaluations import evaluation_document, evaluation_list, task_examples
from server.read.models import dense_models, model_document, model_list
from server.read.studies import study_document, study_list
from server.stores import Stores, StoresHere

router = APIRouter(prefix=urls.API)

CHUNK = 1024 * 1024


@router.get(urls.MODELS, tags=["Models"], responses=problems(422), summary="Dense models, then pruned ones")
def list_models(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[ModelSummary]:
    return model_list(stores, cursor=cursor, limit=limit)


@router.get(
    urls.MODEL_DOWNLOAD,
    tags=["Models"],
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


@router.get(urls.MODEL, tags=["Models"], responses=problems(404), summary="One model, layer by layer")
def get_model(stores: StoresHere, model: str) -> ModelDocument:
    return model_document(stores, model)


@router.delete(
    urls.MODEL, tags=["Models"], status_code=204, responses=problems(404, 409), summary="Remove a pruned model"
)
def delete_model(stores: StoresHere, model: str) -> None:
    if model in dense_models(stores):
        raise conflict(f"{model} is not one of the models that were pruned here; only those can be removed")
    stores.results.delete("model", model.removeprefix(PRUNED))


@router.get(urls.EVALUATIONS, tags=["Evaluations"], responses=problems(422), summary="Evaluations, newest first")
def list_evaluations(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[EvaluationSummary]:
    return evaluation_list(stores, cursor=cursor, limit=limit)


@router.get(urls.EVALUATION, tags=["Evaluations"], responses=problems(404), summary="Accuracies of one model")
def get_evaluation(stores: StoresHere, evaluation: str) -> EvaluationDocument:
    return evaluation_document(stores, evaluation)


@router.delete(
    urls.EVALUATION, tags=["Evaluations"], status_code=204, responses=problems(404, 409), summary="Remove an evaluation"
)
def delete_evaluation(stores: StoresHere, evaluation: str) -> None:
    stores.results.delete("evaluation", evaluation)


@router.get(
    urls.EVALUATION_TASK,
    tags=["Evaluations"],
    responses=problems(404, 422),
    summary="A task's examples, those that pruning broke first",
)
def get_examples(
    stores: StoresHere,
    evaluation: str,
    task: str,
    against: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> TaskExamples:
    return task_examples(stores, evaluation, task, against=against, cursor=cursor, limit=limit)


@router.get(urls.STUDIES, tags=["Studies"], responses=problems(422), summary="Studies, newest first")
def list_studies(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[StudySummary]:
    return study_list(stores, cursor=cursor, limit=limit)


@router.get(urls.STUDY, tags=["Studies"], responses=problems(404, 422), summary="One study as a table")
def get_study(
    stores: StoresHere, study: str, rows: str | None = None, columns: str | None = None, show: str = "accuracy"
) -> StudyDocument:
    return study_document(stores, study, rows=rows, columns=columns, show=show)


@router.delete(
    urls.STUDY, tags=["Studies"], status_code=204, responses=problems(404, 409), summary="Remove a study, not its cells"
)
def delete_study(stores: StoresHere, study: str) -> None:
    stores.results.delete("study", study)


def _tar(stores: Stores, id: str, files: dict[str, int]) -> Iterator[bytes]:
    """The files one after another, a piece at a time: nothing is held in memory or written to disk."""
    for name, size in files.items():
        about = tarfile.TarInfo(f"pruned-{id}/{name}")
        about.size = size
        yield about.tobuf(tarfile.USTAR_FORMAT)
        with stores.artefacts.open("model", id, name) as stream:
            while piece := stream.read(CHUNK):
                yield piece
        yield b"\0" * (-size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)
