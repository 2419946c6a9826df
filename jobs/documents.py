"""The job documents: the same classes for database rows, REST responses, pages and the command line."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class JobKind(StrEnum):
    """The kind of work that a job does."""

    PRUNE = "prune"
    EVALUATE = "evaluate"
    ATTRIBUTE = "attribute"
    EXPLAIN = "explain"
    CORPUS = "corpus"
    STUDY = "study"


class JobState(StrEnum):
    """`queued -> running -> succeeded | failed | cancelled`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job is in a final state, from which only a retry moves it."""
        return self in ENDED


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})


class Progress(BaseModel):
    """Progress of a job: `done` of `total` `unit`s of its current stage. `total` is 0 until the total is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = "waiting"
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""
    eta_seconds: float | None = None


class JobSummary(BaseModel):
    """One job without its spec, as in lists. The last five fields are internal; the JSON document omits them."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: JobKind
    state: JobState
    fingerprint: str
    progress: Progress = Progress()
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    error: dict[str, Any] | None = None
    result: dict[str, str] | None = None

    parent: str | None = Field(default=None, exclude=True)
    """Id of the study job to which this cell belongs; None for a job outside a study."""
    cancel_requested: bool = Field(default=False, exclude=True)
    """Whether cancellation of a running job was requested; the job has not stopped yet."""
    forced: bool = Field(default=False, exclude=True)
    """Whether the job was submitted with `force`, so that an existing artefact is computed again instead of reused."""
    sent: bool = Field(default=False, exclude=True)
    """Whether the job's message was sent to the queue since the job last became `queued`."""

    brief: dict[str, Any] = Field(default={}, exclude=True)
    """The shortened spec (`jobs/briefs.py`)."""

    @property
    def artefact_id(self) -> str:
        """The id of this job's result (a pruned model, an evaluation, an attribution, an explanation, a corpus or a
        study), known before the job runs."""
        return artefact_id(self.fingerprint)


class Job(JobSummary):
    """One job with its complete spec."""

    spec: dict[str, Any]


class LogLine(BaseModel):
    """One line of a job's log."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    line: str


ID_LENGTH = 16


def artefact_id(fingerprint: str) -> str:
    """The id of a spec's result: the first 16 hex digits of the spec's fingerprint."""
    return fingerprint[:ID_LENGTH]


class NewJobs(BaseModel):
    """The number of new jobs of each kind. A study needs only jobs of the first three."""

    model_config = ConfigDict(frozen=True)

    prune: int = 0
    evaluate: int = 0
    attribute: int = 0
    explain: int = 0
    corpus: int = 0

    @property
    def total(self) -> int:
        return self.prune + self.evaluate + self.attribute + self.explain + self.corpus


class Estimate(BaseModel):
    """The estimated work of a job or a study; a single job is one cell.

    `known` is the number of cells that need no new job, because a job with the same fingerprint is queued, running or
    has succeeded, or because another cell of the study has the same fingerprint. `seconds` is the total time of all new
    jobs when they run one after another; None if there is no data for an estimate. `basis` is a sentence that says what
    the estimate is based on.
    """

    model_config = ConfigDict(frozen=True)

    cells: int
    known: int
    new: NewJobs
    seconds: float | None
    basis: str
