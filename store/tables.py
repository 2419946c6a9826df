"""The tables of the database. `store/migrations` creates them; a test checks that both agree."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite does not store time zones, so times are stored without one and returned with UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

COUNTS_AS_KNOWN = text("known AND state IN ('queued', 'running', 'succeeded')")
"""Condition: the job is known, so that it is returned when the same spec is submitted again."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("brief", JSON),  # shortened spec (jobs/briefs.py), which lists read instead of the spec
    Column("fingerprint", String(64), nullable=False),
    Column("artefact", String(16), nullable=False),  # id of the result: the start of the fingerprint
    Column("known", Boolean, nullable=False),  # False: a forced job has replaced it, or its result was deleted
    Column("forced", Boolean, nullable=False),
    Column("parent", String(32), ForeignKey("jobs.id")),  # the study to which this cell belongs
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),  # None: no message was sent since the job was last queued
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("attempts", Integer, nullable=False),
    Column("lost_leases", Integer, nullable=False),
    Column("worker", String(200)),
    Column("lease_until", Moment),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", JSON(none_as_null=True), nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Index("ix_jobs_created_at_id", "created_at", "id"),
    Index("ix_jobs_state", "state"),
    Index("ix_jobs_parent", "parent"),
    Index("ix_jobs_artefact", "artefact"),
    # Of two simultaneous requests with the same fingerprint, the database accepts one.
    Index("uq_jobs_known", "fingerprint", unique=True, sqlite_where=COUNTS_AS_KNOWN, postgresql_where=COUNTS_AS_KNOWN),
)

job_log = Table(
    "job_log",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("job", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("line", Text, nullable=False),
    Index("ix_job_log_job_number", "job", "number"),
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("job", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("after", String(32), ForeignKey("jobs.id"), primary_key=True),
    Index("ix_dependencies_after", "after"),
)

study_cells = Table(
    "study_cells",
    metadata,
    Column("study", String(32), ForeignKey("jobs.id"), primary_key=True),  # the study's job
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("job", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("coordinates", JSON, nullable=False),
    Index("ix_study_cells_job", "job"),
)

records = Table(
    "records",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("job", String(32), ForeignKey("jobs.id")),
    Column("spec", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_records_kind_created_at_id", "kind", "created_at", "id"),
)

# The references of the models that a record's spec names, in the order of the spec.
record_models = Table(
    "record_models",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("field", String(16), nullable=False),  # of the spec: model, dense, pruned or models
    Column("model", Text, nullable=False),
    Index("ix_record_models_model_kind", "model", "kind"),
)

uses = Table(
    "uses",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("used_kind", String(16), primary_key=True),
    Column("used_id", String(16), primary_key=True),
    Index("ix_uses_used_kind_used_id", "used_kind", "used_id"),
)

# Measured values: one row holds all tasks of an evaluation, because a study reads thousands of evaluations.
# `store/evaluations/packed.py` defines the layout of `numbers`; `store/evaluations/writing.py` writes `measurements`,
# `pairings` and `outcomes`.
measurements = Table(
    "measurements",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("measure", String(16), primary_key=True),  # accuracy, perplexity, auc, prior, adjusted, labels
    Column("tasks", Text, nullable=False),  # a JSON list of tasks, for perplexity of texts
    Column("numbers", LargeBinary, nullable=False),  # float64, little-endian, [tasks, columns of a Measurement]
)

# A pruned model's evaluation compared with an evaluation of its dense model, on the tasks that both have.
pairings = Table(
    "pairings",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("dense_evaluation", String(16), primary_key=True),
    Column("measure", String(16), primary_key=True),
    Column("tasks", Text, nullable=False),
    Column("numbers", LargeBinary, nullable=False),  # float64, [tasks, columns of a Pairing after the first]
    Index("ix_pairings_dense_evaluation", "dense_evaluation"),
)

# Results of each row or window, from which pairings are computed. Two evaluations are paired if `protocol` and
# `rows_hash` are equal. `task` is the name of a task or of a text; no text has the name of a task.
outcomes = Table(
    "outcomes",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("task", String(64), primary_key=True),
    Column("model", Text, nullable=False),
    Column("base", Text),  # the dense model of a pruned one; None for a dense model
    Column("protocol", String(200), nullable=False),  # equal for tasks that were measured in the same way
    Column("rows_hash", String(64), nullable=False),
    # One bit for each row, in the order of their indices; for perplexity the loss of each window as float64.
    Column("correct", LargeBinary, nullable=False),
    # Of a task with fixed labels: the score of each label but the first minus that of the first, as float64 by row.
    Column("scores", LargeBinary),
    Index("ix_outcomes_model_task", "model", "task"),
    Index("ix_outcomes_base_task", "base", "task"),
)

# The number of changes of each named set of data: a cached result is valid as long as the number is unchanged.
revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    # Of the page when the link was made: its title, and the digest of the results that it showed (`Results.digests`).
    Column("title", Text),
    Column("digest", String(16)),
    Column("opened_at", Moment),
    Index("ix_shares_created_at_token", "created_at", "token"),
)
