"""The flow of one job, on one page.

    claim -> lease -> stage -> artefact -> record -> end -> jobs that depend on this one

`run` takes a job's id and may be called twice for the same job: only one claim succeeds, and an artefact that exists is
not made again. An artefact is written to a temporary folder, which is renamed at the end, so that incomplete files of a
killed worker are never used. The next attempt resumes from the layers that a killed worker had finished.
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
from prunescope.jobs.specs import AttributeSpec, CorpusSpec, EvaluateSpec, ExplainSpec, PruneSpec, Spec, parse_spec
from prunescope.lm.errors import BadInput, Cancelled
from prunescope.lm.loading import find_on_hub
from prunescope.nsa.errors import NoInfluentialWords
from prunescope.store.artefacts.records import RESULT_OF
from prunescope.worker import stages
from prunescope.worker.context import Context
from prunescope.worker.corpus import corpus
from prunescope.worker.explain import explain
from prunescope.worker.failures import needs_new_request
from prunescope.worker.lease import Lease
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from prunescope.worker.reporting import Reporter
from prunescope.worker.summaries import keep_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """The job succeeded: its artefact was made or existed. `result` maps the kind of the artefact to its id."""

    result: dict[str, str]


@dataclass(frozen=True)
class Failed:
    """The job failed; `problem` is the reason."""

    problem: Problem


@dataclass(frozen=True)
class Stopped:
    """The work was stopped, because the job was cancelled, its lease was lost, or the worker has to end."""


Ending = Done | Failed | Stopped


def run(job_id: str, parts: Parts, models: ModelCache) -> None:
    """Claim a queued job, run it to its end, and store its state and result. If the job does not exist or is not
    queued, nothing is done."""
    jobs, holder = parts.stores.jobs, parts.lease_holder()
    job = jobs.claim(job_id, holder, parts.settings.lease_seconds)
    if job is None:
        log.info("job %s does not exist or is not queued", job_id)
        return
    log.info("job %s (%s) starts, attempt %d", job.id, job.kind, job.attempts)
    parts.announce(job.id)
    with Lease(jobs, job, holder, parts.settings.lease_seconds, parts.stopping) as lease:
        ending = _attempt(job, holder, parts, models, lease.check)
    # The state becomes "cancelled" or "failed" only now, when the attempt has ended and its memory is free.
    _end(job, holder, parts, ending)
    parts.announce(job.id)
    parts.dispatch(jobs.advance(job.id))


def _attempt(job: Job, holder: str, parts: Parts, models: ModelCache, check: Callable[[], None]) -> Ending:
    settings, artefacts = parts.settings, parts.stores.artefacts
    reporter = Reporter(lambda progress: parts.store_progress(job, holder, progress), partial(parts.add_log_line, job))
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
        return Failed(_bad_input(error))
    except Problem as problem:
        if problem.status >= 500:
            log.warning("job %s (%s) failed: %s", job.id, job.kind, problem.detail, exc_info=problem)
        return Failed(problem)
    except Exception as error:
        log.exception("job %s (%s) failed", job.id, job.kind)
        return Failed(_unexpected(error, job))


def _produce(job: Job, parts: Parts, context: Context) -> dict[str, str]:
    """Make the job's artefact unless it exists, store its record, and return the job's result: kind of the artefact ->
    id."""
    artefacts, kind, name = parts.stores.artefacts, RESULT_OF[job.kind], job.artefact_id
    spec = parse_spec(job.kind, job.spec)
    if job.forced or not artefacts.exists(kind, name):
        with (
            artefacts.unfinished(kind, name, partial(_not_resumable, job, parts)) as finished,
            artefacts.staging(kind, name) as folder,
        ):
            _stage(spec, folder, finished, context)
            context.step("store")
    keep_record(parts.stores, job, spec)
    return {kind: f"{PRUNED}{name}" if job.kind == JobKind.PRUNE else name}


def _not_resumable(job: Job, parts: Parts, error: BaseException) -> bool:
    """Whether the finished layers of an attempt that ended with this exception are deleted: the user has to change the
    request, or has cancelled the job."""
    if isinstance(error, Cancelled):
        return parts.stores.jobs.get(job.id).cancel_requested
    return needs_new_request(error)


def _folder(place: Path | str) -> Path:
    # A hub id is searched only on the hub, even if the worker's current folder has a subfolder of the same name.
    return find_on_hub(place) if isinstance(place, str) else place


def _stage(spec: Spec, folder: Path, finished: Path, context: Context) -> dict[str, Any]:
    match spec:
        case PruneSpec():
            return stages.prune(spec, folder, context, finished)
        case EvaluateSpec():
            return stages.evaluate(spec, folder, context)
        case AttributeSpec():
            return stages.attribute(spec, folder, context)
        case ExplainSpec():
            return explain(spec, folder, context).model_dump(mode="json")
        case CorpusSpec():
            return corpus(spec, folder, context).model_dump()
        case _:
            raise TypeError(f"a {type(spec).__name__} has no stage")


def _end(job: Job, holder: str, parts: Parts, ending: Ending) -> None:
    jobs = parts.stores.jobs
    match ending:
        case Done(result):
            held = jobs.succeed(job.id, holder, result)
        case Failed(problem):
            parts.add_log_line(job, f"failed: {problem.detail}")
            held = jobs.fail(job.id, holder, problem.document())
        case Stopped():
            held = jobs.release(job.id, holder)  # queued again, or cancelled if a user requested it
    log.info("job %s: %s%s", job.id, type(ending).__name__.lower(), "" if held else ", but its lease was lost")


def _bad_input(error: BadInput) -> Problem:
    """The Problem for bad input, with the model's answers if no influential words were found in them."""
    given = error.answers if isinstance(error, NoInfluentialWords) else ()
    answers = [AnswerToText(each.text, each.answer) for each in given]
    return Problem(422, error.code, error.code.replace("-", " ").capitalize(), str(error), answers=answers)


def _unexpected(error: Exception, job: Job) -> Problem:
    """The Problem for an unexpected error. Its traceback is only in the worker's log."""
    detail = f"stopped by an unexpected {type(error).__name__}; its traceback is in the worker's log at job {job.id}"
    return Problem(500, "internal", "Something went wrong", detail)
