"""Routes of evaluations, with the contexts of their pages: list, one evaluation, deletion, and a task's examples."""

import json
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.evaluations.documents import EvaluationDocument, EvaluationSummary, TaskExamples
from prunescope.server.evaluations.queries import evaluation_document, evaluation_list, task_examples
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import EVALUATIONS, Crumb, Frame, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Evaluations"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class EvaluationsPage:
    """The context of ``evaluations/list.html``."""

    frame: Frame
    document: Page[EvaluationSummary]


@dataclass(frozen=True)
class EvaluationPage:
    """The context of ``evaluations/evaluation.html``."""

    frame: Frame
    document: EvaluationDocument
    delete_href: str


@dataclass(frozen=True)
class TaskPage:
    """The context of ``evaluations/task.html``; ``job`` is the JSON that is posted to submit a job."""

    frame: Frame
    document: TaskExamples
    job: str


@api.get(urls.evaluations.route, responses=problems(422), summary="Evaluations, newest first")
def list_evaluations(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[EvaluationSummary]:
    return evaluation_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.evaluations.route)
def show_evaluations(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    document = asked.read(lambda: evaluation_list(stores, cursor=asked.text("cursor")))
    frame = Frame(request, "Evaluations", section="Evaluations", notices=asked.notices)
    return render("evaluations/list", EvaluationsPage(frame, document))


@api.get(urls.evaluation.route, responses=problems(404), summary="Accuracies of one model")
def get_evaluation(stores: StoresHere, evaluation: str) -> EvaluationDocument:
    return evaluation_document(stores, evaluation)


@pages.get(urls.evaluation.route)
def show_evaluation(request: Request, stores: StoresHere, evaluation: str) -> Response:
    asked = Asked(request)
    document = evaluation_document(stores, evaluation)
    frame = Frame(request, document.label, EVALUATIONS, section="Evaluations", notices=asked.notices)
    return render("evaluations/evaluation", EvaluationPage(frame, document, delete_href=urls.api(document.href)))


@api.delete(urls.evaluation.route, status_code=204, responses=problems(404, 409), summary="Remove an evaluation")
def delete_evaluation(stores: StoresHere, evaluation: str) -> None:
    stores.results.delete("evaluation", evaluation)


@api.get(
    urls.evaluation_task.route,
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


@pages.get(urls.evaluation_task.route)
def show_task(request: Request, stores: StoresHere, evaluation: str, task: str) -> Response:
    asked = Asked(request, "against", "cursor", "limit")
    document = asked.read(
        lambda: task_examples(
            stores,
            evaluation,
            task,
            against=asked.text("against"),
            cursor=asked.text("cursor"),
            limit=asked.whole("limit"),
        )
    )
    crumb = Crumb(document.evaluation.label, document.evaluation.href)
    title = f"{task} · {document.model.label}"
    frame = Frame(request, title, EVALUATIONS, crumb, section="Evaluations", notices=asked.notices)
    return render("evaluations/task", TaskPage(frame, document, job=json.dumps(document.attribution_job)))
