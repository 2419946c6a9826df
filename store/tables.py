"""The tables of the database. `store/migrations` makes them; a test holds the two against each other."""

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
    """A moment in UTC. SQLite forgets time zones, so all of them are kept without one and handed out with UTC."""

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

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("brief", JSON),  # the spec in brief (jobs/briefs.py): lists are made without reading the whole one
    Column("fingerprint", String(64), nullable=False),
    Column("artefact", String(16), nullable=False),  # the id of what the job makes: the beginning of its fingerprint
    Column("known", Boolean, nullable=False),  # False: a forced job came after it, or what it made was deleted
    Column("forced", Boolean, nullable=False),
    Column("parent", String(32), ForeignKey("jobs.id")),  # the study that made this cell
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),  # None: no message has left since it was last queued
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
    # Two requests for the same thing at the same time: the database lets one of them in.
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

# The models that a record's spec names, as they stand there and in their order.
record_models = Table(
    "record_models",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("field", String(16), nullable=False),  # of the spec: model, dense, pruned, models
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

# What evaluations found: all tasks that one evaluation measured in one row, for a study reads thousands of evaluations.
# `store/evaluations/packed.py` says how the numbers lie, `store/evaluations/writing.py` writes these three tables.
measurements = Table(
    "measurements",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("measure", String(16), primary_key=True),  # accuracy, perplexity
    Column("tasks", Text, nullable=False),  # a JSON list; of a perplexity its texts
    Column("numbers", LargeBinary, nullable=False),  # float64, little-endian, [tasks, columns of a Measurement]
)

# A pruned model's evaluation beside one of the dense model that it was made from, on the tasks that both have.
pairings = Table(
    "pairings",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("dense_evaluation", String(16), primary_key=True),
    Column("measure", String(16), primary_key=True),
    Column("tasks", Text, nullable=False),
    Column("numbers", LargeBinary, nullable=False),  # [tasks, columns of a Pairing after the first]
    Index("ix_pairings_dense_evaluation", "dense_evaluation"),
)

# What pairings are made from, and by what two evaluations are found to have answered the same rows. No text is called
# as a task is.
outcomes = Table(
    "outcomes",
    metadata,
    Column("evaluation", String(16), primary_key=True),
    Column("task", String(64), primary_key=True),
    Column("model", Text, nullable=False),
    Column("base", Text),  # the dense model that a pruned one was made from
    Column("protocol", String(200), nullable=False),  # equal for tasks that were measured in the same way
    Column("rows_hash", String(64), nullable=False),
    # A bit for each row, in the order of their indices; of a perplexity its windows' losses, a double each.
    Column("correct", LargeBinary, nullable=False),
    Index("ix_outcomes_model_task", "model", "task"),
    Index("ix_outcomes_base_task", "base", "task"),
)

# How often each of these has changed: what was computed from one is good as long as its number is the same.
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
    Index("ix_shares_created_at_token", "created_at", "token"),
)
