"""The flow of one job, on one page.

    claim -> lease -> stage -> artefact -> record -> end -> jobs that waited for it

`run` takes an id and may be called twice: only one claim succeeds, and an existing artefact is not made again. An
artefact gets its name last, so the incomplete files of a killed worker are never taken for one. The next attempt
resumes from the layers that a killed worker had finished.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from prunescope.jobs.documents import Job, JobKind
from prunescope.jobs.failures import translated
from prunescope.jobs.problems import AnswerToText, Problem
from prunescope.jobs.references import PRUNED, resolve_file, resolve_model
from prunescope.jobs.specs import AttributeSpec, EvaluateSpec, PruneSpec, Spec, parse_spec
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.lm.loading import find_on_hub
from prunescope.nsa.errors import NoInfluentialWords
from prunescope.store.artefacts.records import RESULT_OF
from prunescope.worker import stages
from prunescope.worker.context import Context
from prunescope.worker.failures import mendable
from prunescope.worker.lease import Lease
from prunescope.worker.models import WarmModels
from prunescope.worker.parts import Parts
from prunescope.worker.reporting import Reporter
from prunescope.worker.summaries import keep_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """The artefact was made or existed; `result` is the job's result."""

    result: dict[str, str]


@dataclass(frozen=True)
class Failed:
    """The attempt failed; `problem` is the problem document."""

    problem: Problem


@dataclass(frozen=True)
class Stopped:
    """The work was stopped, because the job was cancelled or the worker has to end."""


Ending = Done | Failed | Stopped


def run(job_id: str, parts: Parts, models: WarmModels) -> None:
    """Run a queued job to its end; does nothing when the job does not exist or is not queued."""
    jobs, holder = parts.stores.jobs, parts.lease_holder()
    job = jobs.claim(job_id, holder, parts.settings.lease_seconds)
    if job is None:
        log.info("job %s does not exist or is not queued", job_id)
        return
    log.info("job %s (%s) starts, attempt %d", job.id, job.kind, job.attempts)
    parts.announce(job.id)
    with Lease(jobs, job, holder, parts.settings.lease_seconds, parts.stopping) as lease:
        ending = _attempt(job, holder, parts, models, lease.check)
    # The attempt is over and its memory is free; only now the state becomes "cancelled" or "failed".
    _end(job, holder, parts, ending)
    parts.announce(job.id)
    parts.dispatch(jobs.advance(job.id))


def _attempt(job: Job, holder: str, parts: Parts, models: WarmModels, check: Callable[[], None]) -> Ending:
    settings, artefacts = parts.settings, parts.stores.artefacts
    reporter = Reporter(lambda progress: parts.say(job, holder, progress), lambda line: parts.note(job, line))
    context = Context(
        settings=settings,
        models=models,
        place_of=cache(lambda reference: _folder(resolve_model(reference, settings, artefacts.fetch_model))),
        file_of=lambda name: resolve_file(name, settings, "file"),
        report=reporter.report,
        check=check,
    )
    try:
        with translated():
            return Done(_produce(job, parts, context))
    except Cancelled:
        return Stopped()
    except BadInput as error:
        return Failed(_mendable(error))
    except Problem as problem:
        if problem.status >= 500:
            log.warning("job %s (%s) failed: %s", job.id, job.kind, problem.detail, exc_info=problem)
        return Failed(problem)
    except Exception as error:
        log.exception("job %s (%s) failed", job.id, job.kind)
        return Failed(_defect(error, job))


def _produce(job: Job, parts: Parts, context: Context) -> dict[str, str]:
    """Make the job's artefact unless it exists, store its record, and return the job's result."""
    artefacts, kind, name = parts.stores.artefacts, RESULT_OF[job.kind], job.artefact_id
    spec = parse_spec(job.kind, job.spec)
    if job.forced or not artefacts.exists(kind, name):
        with (
            artefacts.unfinished(kind, name, partial(_worthless, job, parts)) as finished,
            artefacts.staging(kind, name) as folder,
        ):
            _stage(spec, folder, finished, context)
            context.step("store")
    keep_record(parts.stores, job, spec)
    return {kind: f"{PRUNED}{name}" if job.kind == JobKind.PRUNE else name}


def _worthless(job: Job, parts: Parts, error: BaseException) -> bool:
    """Whether the finished layers of an attempt can be deleted, because its input is bad or the job is cancelled."""
    if isinstance(error, Cancelled):
        return parts.stores.jobs.get(job.id).cancel_requested
    return mendable(error)


def _folder(place: Path | str) -> Path:
    # A hub id is looked up on the hub only, even if the worker's current folder has a subfolder of that name.
    return find_on_hub(place) if isinstance(place, str) else place


def _stage(spec: Spec, folder: Path, finished: Path, context: Context) -> dict[str, Any]:
    match spec:
        case PruneSpec():
            return stages.prune(spec, folder, context, finished)
        case EvaluateSpec():
            return stages.evaluate(spec, folder, context)
        case AttributeSpec():
            return stages.attribute(spec, folder, context)
        case _:
            raise TypeError(f"a {type(spec).__name__} holds no worker")


def _end(job: Job, holder: str, parts: Parts, ending: Ending) -> None:
    jobs = parts.stores.jobs
    match ending:
        case Done(result):
            held = jobs.succeed(job.id, holder, result)
        case Failed(problem):
            parts.note(job, f"failed: {problem.detail}")
            held = jobs.fail(job.id, holder, problem.document())
        case Stopped():
            held = jobs.release(job.id, holder)  # ends as cancelled if that was requested
    log.info("job %s: %s%s", job.id, type(ending).__name__.lower(), "" if held else ", but it is another worker's now")


def _mendable(error: BadInput) -> Problem:
    """The problem document for bad input, with the model's answers if they are the cause."""
    given = error.answers if isinstance(error, NoInfluentialWords) else ()
    answers = [AnswerToText(each.text, each.answer) for each in given]
    return Problem(422, error.code, error.code.replace("-", " ").capitalize(), str(error), answers=answers)


def _defect(error: Exception, job: Job) -> Problem:
    """The problem document for an unexpected error, whose traceback is only in the worker's log."""
    detail = f"an unexpected {type(error).__name__} ended it; the worker's log says more under job {job.id}"
    return Problem(500, "internal", "Something went wrong", detail)
