"""The place in the queue, and jobs by the beginning of their ids."""

from datetime import UTC, datetime, timedelta

from prunescope.jobs.documents import JobKind
from prunescope.store.jobs.finding import ahead, starting_with
from prunescope.store.jobs.store import JobStore
from prunescope.store.submission import Stores

START = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = {"model": "one", "method": {"name": "magnitude"}}


def test_jobs_that_were_submitted_earlier_are_ahead(stores: Stores) -> None:
    jobs = [
        JobStore(stores.database, lambda at=START + timedelta(minutes=minute): at).submit(
            JobKind.PRUNE, SPEC, f"{number:064x}"
        )[0]
        for number, minute in enumerate((2, 0, 1, 1))
    ]
    places = [ahead(stores.database, job) for job in jobs]
    assert (places[0], places[1], {*places[2:]}) == (3, 0, {1, 2}), "of two at the same time, one is first"
    stores.jobs.cancel(jobs[1].id)
    assert ahead(stores.database, jobs[0]) == 2


def test_jobs_are_found_by_the_beginning_of_their_ids(stores: Stores) -> None:
    ids = sorted(stores.jobs.submit(JobKind.PRUNE, SPEC, f"{number:064x}")[0].id for number in range(40))
    for length in (1, 6, 32):
        start = ids[20][:length]
        found = [job.id for job in starting_with(stores.database, start, 3)]
        assert found == [id for id in ids if id.startswith(start)][:3]
    assert starting_with(stores.database, "0" * 32, 3) == []
