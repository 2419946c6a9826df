"""Records: the database rows of pruned models, evaluations, attributions, explanations and studies.
`store/artefacts/folders.py` stores the artefacts themselves.

A record's `summary` is what lists show without reading the artefact. The worker writes

    model         {"label", "method", "pattern", "calibration", "sparsity", ...}; sparsity is the achieved share of
                  zeros
    evaluation    {"tasks": {task: {"version", "prompt_hash", "truncated"}}, "perplexity": {text: {"nll", "windows",
                  "seqlen", "bos", "source", "sha256"}}, "context"}: how it was measured; the measured values are in
                  the table `measurements` (`store/evaluations/queries.py`)
    attribution   `ListedAttribution` (`store/attributions/summary.py`)
    explanation   `ListedExplanation` (`store/explanations/summary.py`)
    corpus        `ListedCorpus` (`store/corpora/documents.py`)

A record's id is derived from the fingerprint of its spec, so adding the same result again replaces the record.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from prunescope.jobs.documents import JobKind, JobState
from prunescope.jobs.problems import conflict, not_found
from prunescope.jobs.references import PRUNED, named_models, references_of
from prunescope.store.artefacts.folders import KINDS, Artefacts
from prunescope.store.database import Database, in_pieces
from prunescope.store.evaluations.writing import (
    keep_evaluation,
    keep_labels,
    keep_outcomes,
    record_summary,
    remove_evaluation,
)
from prunescope.store.jobs.store import utc_now
from prunescope.store.paging import checked_limit, older_than, page
from prunescope.store.tables import jobs, record_models, records, study_cells, uses

RESULT_OF: dict[JobKind, str] = {
    JobKind.PRUNE: "model",
    JobKind.EVALUATE: "evaluation",
    JobKind.ATTRIBUTE: "attribution",
    JobKind.STUDY: "study",
    JobKind.EXPLAIN: "explanation",
    JobKind.CORPUS: "corpus",
}
"""Kind of job -> kind of its record."""
DIGEST_DIGITS = 12


class Record(BaseModel):
    """The database row of one result of a job. `job` is None if no job made the result."""

    model_config = ConfigDict(frozen=True)

    kind: str
    id: str
    job: str | None
    spec: dict[str, Any]
    summary: dict[str, Any]
    created_at: datetime


Records: TypeAlias = list[Record]
Names: TypeAlias = list[str]


class Results:
    """All records of an installation."""

    def __init__(self, database: Database, artefacts: Artefacts, now: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.artefacts = artefacts
        self.now = now

    def add(
        self,
        kind: str,
        name: str,
        *,
        job: str | None,
        spec: Mapping[str, Any],
        summary: Mapping[str, Any],
    ) -> Record:
        """Insert a record, or replace the one with this id. The pruned models that its spec names cannot be deleted as
        long as the record exists. Evaluations are added by `add_evaluation`."""
        with self.database.exclusive() as connection:
            add_record(connection, kind, name, self.now(), job=job, spec=spec, summary=summary, used=models_of(spec))
        return self.get(kind, name)

    def add_evaluation(
        self, name: str, *, job: str | None, spec: Mapping[str, Any], document: Mapping[str, Any]
    ) -> Record:
        """Insert or replace the record and the measurements of an evaluation from its `evaluation.json`. If the
        document has examples or losses of windows, the evaluation is also paired with the dense model's, which needs
        SciPy and is therefore done by the worker."""
        summary = record_summary(document)
        with self.database.exclusive() as connection:
            add_record(
                connection, "evaluation", name, self.now(), job=job, spec=spec, summary=summary, used=models_of(spec)
            )
            keep_evaluation(connection, name, spec, document)
        return self.get("evaluation", name)

    def add_outcomes(self, name: str, document: Mapping[str, Any]) -> bool:
        """Insert the outcomes of an evaluation that was stored without them, and pair it. False if its
        `evaluation.json` has none. Raises Problem 404 if there is no such evaluation."""
        of = (records.c.kind == "evaluation") & (records.c.id == name)
        with self.database.exclusive() as connection:
            spec = connection.execute(select(records.c.spec).where(of)).scalar_one_or_none()
            if spec is None:
                raise not_found("evaluation", name)
            return keep_outcomes(connection, name, spec, document)

    def add_labels(self, name: str, document: Mapping[str, Any]) -> None:
        """Insert the label values of an evaluation that was stored without them, from its `evaluation.json`."""
        with self.database.exclusive() as connection:
            keep_labels(connection, name, document)

    def summarise(self, kind: str, name: str, summary: Mapping[str, Any]) -> None:
        """Replace the summary of a record; does nothing if there is no such record."""
        same = (records.c.kind == kind) & (records.c.id == name)
        with self.database.writing() as connection:
            connection.execute(update(records).where(same).values(summary=dict(summary)))

    def get(self, kind: str, name: str) -> Record:
        """The record with this id. Raises Problem 404 if there is none."""
        found = self.many(kind, [name])
        if name not in found:
            raise not_found(kind, name)
        return found[name]

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is a record with this id."""
        return name in self.known(kind, [name])

    def known(self, kind: str, names: Iterable[str]) -> set[str]:
        """The ids among `names` that have a record. Does not read the records."""
        found: set[str] = set()
        with self.database.reading() as connection:
            for some in in_pieces(names):
                query = select(records.c.id).where(records.c.kind == kind, records.c.id.in_(some))
                found |= {*connection.execute(query).scalars()}
        return found

    def ids(self, kind: str) -> set[str]:
        """The ids of all records of a kind. Does not read the records."""
        with self.database.reading() as connection:
            return {*connection.execute(select(records.c.id).where(records.c.kind == kind)).scalars()}

    def everything(self, kind: str) -> Iterator[Record]:
        """Yield all records of a kind, in no particular order."""
        with self.database.reading() as connection:
            for row in connection.execute(select(records).where(records.c.kind == kind)):
                yield _to_record(row)

    def digests(self, kind: str, names: Iterable[str]) -> dict[str, str]:
        """Id -> digest of a record: DIGEST_DIGITS hexadecimal digits that change when the result is made again. Ids
        without a record are omitted.

        It is computed from the job that made the result and from the record's creation time. The id itself is derived
        from the spec, so a result that is made again has the same id.
        """
        found: dict[str, str] = {}
        with self.database.reading() as connection:
            for some in in_pieces(names):
                query = select(records.c.id, records.c.job, records.c.created_at)
                for row in connection.execute(query.where(records.c.kind == kind, records.c.id.in_(some))):
                    made = f"{kind} {row.id} {row.job} {row.created_at.isoformat()}"
                    found[row.id] = hashlib.sha256(made.encode()).hexdigest()[:DIGEST_DIGITS]
        return found

    def marks(self) -> dict[str, tuple[int, datetime]]:
        """Kind -> (number of records, creation time of the newest). Changes whenever a record is added or deleted, so
        that callers can tell whether cached data is still valid."""
        query = select(records.c.kind, func.count(), func.max(records.c.created_at)).group_by(records.c.kind)
        with self.database.reading() as connection:
            return {kind: (count, newest) for kind, count, newest in connection.execute(query)}

    def many(self, kind: str, names: Iterable[str]) -> dict[str, Record]:
        """Id -> record; ids without a record are omitted."""
        found: dict[str, Record] = {}
        with self.database.reading() as connection:
            for some in in_pieces(names):
                for row in connection.execute(select(records).where(records.c.kind == kind, records.c.id.in_(some))):
                    found[row.id] = _to_record(row)
        return found

    def list(self, kind: str, *, cursor: str | None = None, limit: int = 50) -> tuple[Records, str | None]:
        """(records of a kind, cursor of the next page or None), newest first. Raises Problem 422 for an invalid cursor
        or limit."""
        query = select(records).where(records.c.kind == kind)
        if cursor is not None:
            query = query.where(older_than(cursor, records.c.created_at, records.c.id))
        query = query.order_by(records.c.created_at.desc(), records.c.id.desc()).limit(checked_limit(limit) + 1)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        items, following = page(rows, limit, lambda row: (row.created_at, row.id))
        return [_to_record(row) for row in items], following

    def naming(
        self, kind: str, references: Iterable[str], *, field: str | None = None, limit: int | None = None
    ) -> Records:
        """The records of a kind whose spec names one of these models in `field` (None: in any field), newest first, at
        most `limit` (None: all)."""
        query = select(records).where(records.c.kind == kind, records.c.id.in_(_naming(kind, references, field)))
        query = query.order_by(records.c.created_at.desc(), records.c.id.desc()).limit(limit)
        with self.database.reading() as connection:
            return [_to_record(row) for row in connection.execute(query)]

    def of_models(self, dense: str, pruned: Sequence[str], most: int) -> Records:
        """The newest attributions, at most `most`, of exactly this dense model and these pruned ones in this order."""
        kind, fields = "attribution", [("dense", [dense]), *(("pruned", [name]) for name in pruned)]
        query = select(records).where(records.c.kind == kind)
        query = query.where(*(records.c.id.in_(_naming(kind, names, field)) for field, names in fields))
        query = query.order_by(records.c.created_at.desc(), records.c.id.desc())
        with self.database.reading() as connection:
            same = (row for row in connection.execute(query) if row.spec.get("pruned") == [*pruned])
            return [_to_record(row) for row in islice(same, most)]

    def corpora_of(self, references: Sequence[str], most: int) -> Records:
        """The newest corpora, at most `most`, that were read with the model that these references name."""
        return self.naming("corpus", references, field="models", limit=most)

    def explanations_of(self, dense: str, pruned: str, most: int) -> Records:
        """The newest explanations, at most `most`, of exactly this dense and this pruned model."""
        kind = "explanation"
        query = select(records).where(
            records.c.kind == kind,
            records.c.id.in_(_naming(kind, [dense], "dense")),
            records.c.id.in_(_naming(kind, [pruned], "pruned")),
        )
        query = query.order_by(records.c.created_at.desc(), records.c.id.desc()).limit(most)
        with self.database.reading() as connection:
            return [_to_record(row) for row in connection.execute(query)]

    def named_models(self) -> Names:
        """The reference of every model that a record names: first the field `model` of pruned models and evaluations,
        in the order of first use, then those of attributions, explanations and corpora, most recently used first."""
        made = (records.c.kind == record_models.c.kind) & (records.c.id == record_models.c.id)
        named = select(record_models.c.model).join(records, made).group_by(record_models.c.model)
        measured = named.where(records.c.kind.in_(["model", "evaluation"]), record_models.c.field == "model")
        measured = measured.order_by(func.min(records.c.created_at), record_models.c.model)
        attributed = named.where(records.c.kind.in_(["attribution", "explanation", "corpus"]))
        attributed = attributed.order_by(func.max(records.c.created_at).desc(), func.min(record_models.c.position))
        with self.database.reading() as connection:
            queries = (measured, attributed)
            return [*dict.fromkeys(name for query in queries for name in connection.execute(query).scalars())]

    def delete(self, kind: str, name: str) -> None:
        """Delete a record and its artefact. Raises Problem 404 if there is none, 409 while another record uses it or an
        unfinished job makes or uses it.

        The job that made it is not known any more, so that the same spec can be submitted again.
        """
        with self.database.exclusive() as connection:
            row = connection.execute(select(records).where(records.c.kind == kind, records.c.id == name)).one_or_none()
            if row is None:
                raise not_found(kind, name)
            _check_unused(connection, kind, name)
            for table in (uses, record_models, records):
                connection.execute(delete(table).where(table.c.kind == kind, table.c.id == name))
            connection.execute(update(jobs).where(jobs.c.artefact == name).values(known=False))
            if kind == "evaluation":
                remove_evaluation(connection, name)
            if kind == "study":
                connection.execute(delete(study_cells).where(study_cells.c.study == row.job))
        if kind in KINDS:
            self.artefacts.remove(kind, name)


def add_record(
    connection: Connection,
    kind: str,
    name: str,
    now: datetime,
    *,
    job: str | None,
    spec: Mapping[str, Any],
    summary: Mapping[str, Any],
    used: Iterable[tuple[str, str]],
) -> None:
    """Insert or replace a record inside an exclusive transaction of the caller. `used` are the (kind, id) pairs of the
    records that it uses, which cannot be deleted as long as this one exists."""
    values = {"job": job, "spec": dict(spec), "summary": dict(summary)}
    known = (records.c.kind == kind) & (records.c.id == name)
    if connection.execute(update(records).where(known).values(values)).rowcount == 0:
        connection.execute(insert(records).values(kind=kind, id=name, created_at=now, **values))
    for table in (uses, record_models):
        connection.execute(delete(table).where(table.c.kind == kind, table.c.id == name))
    if named := rows_of_models(kind, name, spec):
        connection.execute(insert(record_models), named)
    needed = [
        {"kind": kind, "id": name, "used_kind": used_kind, "used_id": used_id}
        for used_kind, used_id in sorted(set(used))
    ]
    if needed:
        connection.execute(insert(uses), needed)


def models_of(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """("model", id) of every pruned model that a spec document names."""
    references = [name.strip() for name in references_of(spec)]
    return [("model", name.removeprefix(PRUNED)) for name in references if name.startswith(PRUNED)]


def rows_of_models(kind: str, name: str, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `record_models` for a record: one for each model that its spec names."""
    return [
        {"kind": kind, "id": name, "position": position, "field": field, "model": model}
        for position, (field, model) in enumerate(named_models(spec))
    ]


def _naming(kind: str, references: Iterable[str], field: str | None) -> Select[tuple[str]]:
    """Query of the ids of the records of a kind whose spec names one of these models in `field` (None: any field)."""
    query = select(record_models.c.id).where(record_models.c.kind == kind, record_models.c.model.in_([*references]))
    return query if field is None else query.where(record_models.c.field == field)


def _to_record(row: Any) -> Record:
    return Record(kind=row.kind, id=row.id, job=row.job, spec=row.spec, summary=row.summary, created_at=row.created_at)


def _check_unused(connection: Connection, kind: str, name: str) -> None:
    """Raise Problem 409 if another record uses this one, or if an unfinished job makes or uses it."""
    user = connection.execute(select(uses).where(uses.c.used_kind == kind, uses.c.used_id == name)).first()
    if user is not None:
        raise conflict(f"{kind} {name} is used by {user.kind} {user.id}; delete that first")
    active = select(jobs).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
    for job in connection.execute(active):
        if job.fingerprint.startswith(name):
            raise conflict(f"job {job.id} is making {kind} {name}; cancel it first")
        if (kind, name) in models_of(job.spec):
            raise conflict(f"job {job.id} ({job.kind}) is using {kind} {name}; wait for it, or cancel it")
