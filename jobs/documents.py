"""A job as everybody sees it: the database hands it out, REST answers with it, pages and the command read it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class JobKind(StrEnum):
    """What a job does."""

    PRUNE = "prune"
    EVALUATE = "evaluate"
    ATTRIBUTE = "attribute"
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
        """Nothing more happens to the job unless somebody retries it."""
        return self in ENDED


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})


class Progress(BaseModel):
    """How far a job is: `done` of `total` `unit`s of its present stage. `total` 0 means that it is not known yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = "waiting"
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""
    eta_seconds: float | None = None


class JobSummary(BaseModel):
    """One job as lists have it, without its spec. The last five fields are for the program itself and are left out of
    the JSON document."""

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
    """Id of the study job that made this cell; None for a job that was submitted by itself."""
    cancel_requested: bool = Field(default=False, exclude=True)
    """A running job was asked to stop and has not stopped yet."""
    forced: bool = Field(default=False, exclude=True)
    """Submitted with `force`: an artefact that is there already is made again, not taken."""
    sent: bool = Field(default=False, exclude=True)
    """A message with this job's id was handed to the queue since it was last queued."""

    brief: dict[str, Any] = Field(default={}, exclude=True)
    """The spec in brief (`jobs/briefs.py`)."""

    @property
    def artefact_id(self) -> str:
        """The id of what this job makes, known before it exists: `pruned:<id>`, an evaluation, an attribution, a
        study."""
        return artefact_id(self.fingerprint)


class Job(JobSummary):
    """One job with its whole spec."""

    spec: dict[str, Any]


class LogLine(BaseModel):
    """One line of a job's log."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    line: str


ID_LENGTH = 16


def artefact_id(fingerprint: str) -> str:
    """The first 16 hex digits of a spec's fingerprint name what the spec makes."""
    return fingerprint[:ID_LENGTH]


class NewJobs(BaseModel):
    """How many jobs of each kind have to be run."""

    model_config = ConfigDict(frozen=True)

    prune: int
    evaluate: int
    attribute: int

    @property
    def total(self) -> int:
        return self.prune + self.evaluate + self.attribute


class Estimate(BaseModel):
    """The work of a study: `known` cells are queued, running or done already, or are the same job as another cell.

    `seconds`: of all new jobs, one after another; None where there is nothing to go by. `basis` says what there was.
    """

    model_config = ConfigDict(frozen=True)

    cells: int
    known: int
    new: NewJobs
    seconds: float | None
    basis: str
