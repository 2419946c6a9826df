"""Submits jobs for the server and the command line: parse and check the spec, compute the fingerprint, insert the row,
send the message.

The row is committed before its message is sent. If the queue cannot be reached, the job stays queued without a message,
and the next `sweep` sends it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from prunescope.jobs.documents import Estimate, Job, JobKind
from prunescope.jobs.fingerprints import fingerprint
from prunescope.jobs.problems import bad_field, not_found
from prunescope.jobs.references import PRUNED
from prunescope.jobs.settings import Settings
from prunescope.jobs.shape import check_shape
from prunescope.jobs.specs import (
    AttributeSpec,
    CorpusSpec,
    EvaluateSpec,
    ExplainSpec,
    PruneSpec,
    Spec,
    StudySpec,
    parse_kind,
    parse_spec,
)
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.records import Results
from prunescope.store.contents import Contents
from prunescope.store.database import Database
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.jobs.store import JobStore
from prunescope.store.model_sizes import model_size
from prunescope.store.shares import ShareStore
from prunescope.store.studies import estimates
from prunescope.store.studies.grid import Cell, plan
from prunescope.store.studies.queries import Studies

Send = Callable[[str], None]
"""Sends the message of the job with this id; raises ConnectionError if the queue cannot be reached (`jobs.queue.send`
with its first argument)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stores:
    """The settings and all stores of an installation, opened once by each process."""

    settings: Settings
    database: Database
    artefacts: Artefacts
    jobs: JobStore
    results: Results
    measurements: Measurements
    studies: Studies
    shares: ShareStore

    @classmethod
    def open(cls, settings: Settings, *, answer_seconds: float | None = None) -> Self:
        """Create the stores without connecting to anything. A process that starts calls `database.migrate()` before it
        uses them. `answer_seconds`: see `Database`."""
        database = Database(settings.resolved_database_url, answer_seconds=answer_seconds)
        artefacts = Artefacts(settings.resolved_artefacts_url, settings.resolved_home / "cache")
        jobs = JobStore(database)
        results = Results(database, artefacts)
        measurements = Measurements(database)
        studies = Studies(database, jobs, results, measurements)
        return cls(settings, database, artefacts, jobs, results, measurements, studies, ShareStore(database))

    def close(self) -> None:
        """Close the connections to the database."""
        self.database.dispose()


@dataclass(frozen=True)
class Checked:
    """A valid spec: the jobs that it needs (``cells``; a study has many) and the jobs of other specs that make the
    models that it names (``after``, by the models' ids)."""

    kind: JobKind
    spec: Spec
    fingerprint: str
    cells: list[Cell]
    after: dict[str, str]


def check(stores: Stores, kind: str, document: Mapping[str, Any]) -> Checked:
    """Check a spec without submitting it. Raises Problem 422 as `submit` does."""
    known_kind = parse_kind(kind)
    check_shape(document, kept=True)
    spec = parse_spec(kind, document)
    contents = Contents(stores.settings)
    mark = fingerprint(known_kind, spec, contents.of(spec))
    after = _pending_models(stores, spec)
    cells = _cells(spec, contents) if isinstance(spec, StudySpec) else [Cell(known_kind, spec, mark, {})]
    return Checked(known_kind, spec, mark, cells, after)


def submit(
    stores: Stores, kind: str, document: Mapping[str, Any], *, force: bool = False, send: Send | None
) -> tuple[Job, bool]:
    """Submit a job; returns (job, created). If a job with the same spec and contents is queued, running or has
    succeeded, this job is returned (created False), unless `force` is set.

    Raises Problem 422, without queueing anything, if the spec is invalid or names something that does not exist or is
    not allowed. `send` None sends no message; the next sweep does.
    """
    checked = check(stores, kind, document)
    spec, mark, after = checked.spec, checked.fingerprint, checked.after
    if isinstance(spec, StudySpec):
        job, created = stores.studies.submit(spec, mark, checked.cells, force=force, after=after)
        ready = stores.jobs.unsent() if created else []
    else:
        canonical = spec.model_dump(mode="json")
        job, created = stores.jobs.submit(checked.kind, canonical, mark, force=force, after=after.values())
        ready = [job.id] if created and stores.jobs.is_ready(job.id) else []
    if send is not None:
        dispatch(stores.jobs, ready, send)
    return stores.jobs.get(job.id), created


def estimate(stores: Stores, document: Mapping[str, Any], *, force: bool = False) -> Estimate:
    """The estimated work of a study with this spec; nothing is queued. Raises Problem 422 as `submit` does."""
    return estimate_checked(stores, check(stores, JobKind.STUDY, document), force=force)


def estimate_checked(stores: Stores, checked: Checked, *, force: bool = False) -> Estimate:
    """The estimated work of a job of any kind; nothing is queued."""

    def size(reference: str) -> float | None:
        found = model_size(reference, stores.settings)
        return None if found is None else found.weights

    parts = (stores.database, stores.results, stores.measurements)
    return estimates.estimate(*parts, checked.cells, size, force=force)


def retry(stores: Stores, job: str, *, send: Send | None) -> Job:
    """Queue a failed or cancelled job again, send the messages of ready jobs, and return the job. Raises Problem as
    `JobStore.retry` does."""
    stores.jobs.retry(job)
    if send is not None:
        dispatch(stores.jobs, stores.jobs.unsent(), send)
    return stores.jobs.get(job)


def retry_cells(stores: Stores, study: str, *, send: Send | None) -> Job:
    """Queue all failed and cancelled cells of a study again, send the messages of ready jobs, and return the study's
    job. `study` is the id of the study (16 hex digits), not of its job. Raises Problem 404 if there is no such study,
    and 409 as `JobStore.retry_cells` does."""
    job = stores.results.get("study", study).job
    if job is None:
        raise not_found("study", study)
    stores.jobs.retry_cells(job)
    if send is not None:
        dispatch(stores.jobs, stores.jobs.unsent(), send)
    return stores.jobs.get(job)


def dispatch(jobs: JobStore, ids: Iterable[str], send: Send, *, drained: bool = False) -> int:
    """Send the message of each of these jobs, except those that another process has sent since; returns the number of
    messages sent.

    `drained`: see `JobStore.unsent`. Stops at the first message that cannot be sent; the next sweep tries again.
    """
    sent = 0
    for job in ids:
        if not jobs.mark_sent(job, drained=drained):
            continue
        try:
            send(job)
        except ConnectionError as error:
            jobs.mark_unsent(job)
            _log.warning("job %s stays queued without a message: %s", job, error)
            break
        sent += 1
    return sent


def sweep(jobs: JobStore, send: Send, waiting: Callable[[], int]) -> list[str]:
    """Queue jobs with expired leases again and send the messages of all ready jobs that have none. Returns the ids of
    the jobs that were queued again.

    `waiting` returns the number of messages in the queue. If it is 0, older messages are considered lost and are sent
    again (`JobStore.unsent` with `drained`).
    """
    requeued = jobs.requeue_expired()
    try:
        drained = waiting() == 0
    except ConnectionError as error:
        _log.warning("no message is sent: %s", error)
    else:
        dispatch(jobs, jobs.unsent(drained=drained), send, drained=drained)
    return requeued


def _cells(spec: StudySpec, contents: Contents) -> list[Cell]:
    return plan(spec, cache(lambda kind, cell: fingerprint(kind, cell, contents.of(cell))))


def _pending_models(stores: Stores, spec: Spec) -> dict[str, str]:
    """Id of a pruned model -> id of the job that makes it, for the models that the spec names and that do not exist
    yet. Raises Problem 422 if no known job makes such a model."""
    pending: dict[str, str] = {}
    named = [
        (field, reference, reference.removeprefix(PRUNED))
        for field, reference in _references(spec)
        if reference.startswith(PRUNED)
    ]
    missing = {name for *_, name in named} - stores.results.known("model", (name for *_, name in named))
    makers = stores.jobs.making(missing)
    for field, reference, name in named:
        if name not in missing:
            continue
        job = makers.get(name)
        if job is None or job.kind != JobKind.PRUNE:
            message = f"there is no pruned model {name!r}; prune it first, or look at the list of models"
            raise bad_field(field, reference, "an existing pruned model", message)
        pending[name] = job.id
    return pending


def _references(spec: Spec) -> list[tuple[str, str]]:
    """(field, model reference) of every model that the spec names."""
    match spec:
        case PruneSpec() | EvaluateSpec():
            return [("model", spec.model)]
        case AttributeSpec():
            return [("dense", spec.dense), *((f"pruned.{index}", name) for index, name in enumerate(spec.pruned))]
        case ExplainSpec():
            return [("dense", spec.dense), ("pruned", spec.pruned)]
        case StudySpec() | CorpusSpec():
            return [(f"models.{index}", name) for index, name in enumerate(spec.models)]
