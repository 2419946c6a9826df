"""Evaluations and studies over REST."""

from fastapi import APIRouter

from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.documents import (
    EvaluationDocument,
    EvaluationSummary,
    Page,
    StudyDocument,
    StudyJobs,
    StudySummary,
    TaskExamples,
)
from prunescope.server.filters import Filters
from prunescope.server.read.evaluations import evaluation_document, evaluation_list, task_examples
from prunescope.server.read.studies import study_document, study_jobs, study_list
from prunescope.server.stores import StoresHere

router = APIRouter(prefix=urls.API)


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
    stores: StoresHere,
    where: Filters,
    study: str,
    rows: str | None = None,
    columns: str | None = None,
    measure: str | None = None,
    show: str | None = None,
    published: str | None = None,
    chart: str | None = None,
) -> StudyDocument:
    return study_document(
        stores,
        study,
        rows=rows,
        columns=columns,
        measure=measure,
        show=show,
        published=published,
        chart=chart,
        where=where,
    )


@router.get(
    urls.STUDY_JOBS, tags=["Studies"], responses=problems(404, 422), summary="A study's jobs in the order of its plan"
)
def list_study_jobs(stores: StoresHere, study: str, cursor: str | None = None, limit: int = 50) -> StudyJobs:
    return study_jobs(stores, study, cursor=cursor, limit=limit)


@router.delete(
    urls.STUDY, tags=["Studies"], status_code=204, responses=problems(404, 409), summary="Remove a study, not its cells"
)
def delete_study(stores: StoresHere, study: str) -> None:
    stores.results.delete("study", study)
