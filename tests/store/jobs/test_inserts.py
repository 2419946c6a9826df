"""Many new jobs at once: what is known, what is wanted twice, what can never run, and how few statements it takes."""

from typing import Any

from sqlalchemy import event

from prunescope.jobs.documents import JobKind, JobState
from prunescope.store.jobs.inserts import NewJob, insert_jobs
from prunescope.store.jobs.store import utc_now
from prunescope.store.submission import Stores, submit
from tests.store.studies.test_queries import refuse


def prune(number: int, **more: Any) -> NewJob:
    spec = {"model": "one", "method": {"name": "magnitude"}, "number": number}
    return NewJob(JobKind.PRUNE, spec, f"{number:064x}", **more)


def test_known_jobs_are_found_and_what_is_wanted_twice_is_made_once(stores: Stores) -> None:
    known, _ = stores.jobs.submit("prune", prune(1).spec, prune(1).fingerprint)
    wanted = [prune(1), prune(2), prune(3, after=(0, 1)), prune(2)]
    with stores.database.exclusive() as connection:
        ids, created = insert_jobs(connection, wanted, utc_now(), force=False, parent=None)
    assert ids[0] == known.id and ids[1] == ids[3] and created == {ids[1], ids[2]}
    assert [job.id for job in stores.jobs.list()[0]] == [ids[2], ids[1], known.id], "newest first, in the given order"
    assert stores.jobs.unsent() == [known.id, ids[1]]
    with stores.database.exclusive() as connection:
        anew, created = insert_jobs(connection, wanted, utc_now(), force=True, parent=None)
    assert created == set(anew) and not created & set(ids) and anew[1] == anew[3]
    assert stores.jobs.submit("prune", prune(1).spec, prune(1).fingerprint)[0].id == anew[0]


def test_a_job_whose_dependency_was_lost_meanwhile_fails_with_all_that_waits_for_it(stores: Stores) -> None:
    lost, _ = stores.jobs.submit("prune", prune(1).spec, prune(1).fingerprint)
    stores.jobs.cancel(lost.id)
    wanted = [prune(2, waits_for=(lost.id,)), prune(3, after=(0,)), prune(4)]
    with stores.database.exclusive() as connection:
        ids, _ = insert_jobs(connection, wanted, utc_now(), force=False, parent=None)
    first, second, third = (stores.jobs.get(job) for job in ids)
    assert (first.state, second.state, third.state) == (JobState.FAILED, JobState.FAILED, JobState.QUEUED)
    assert first.error is not None and lost.id in first.error["detail"] and "was cancelled" in first.error["detail"]


def test_a_large_study_takes_no_more_statements_than_a_small_one(stores: Stores) -> None:
    """Cells go in together; only the list of their fingerprints is cut, into pieces of 500."""
    statements: list[str] = []
    event.listen(stores.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

    def taken(cells: int) -> int:
        spec = {"models": ["one"], "methods": ["magnitude"], "patterns": [n / 1000 for n in range(cells // 2)]}
        del statements[:]
        study, _ = submit(stores, "study", {**spec, "tasks": ["reviews"]}, send=refuse)
        assert study.progress.total == cells + 1 - cells % 2
        return len(statements)

    small, large = taken(20), taken(420)
    assert large == small
    assert taken(1400) <= small + 3
