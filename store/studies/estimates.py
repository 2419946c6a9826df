"""Estimates the work of a job or a study before it starts: the numbers of known and new jobs, and the time of the new
ones."""

from collections import Counter
from collections.abc import Callable, Sequence

from prunescope.jobs.documents import Estimate, NewJobs
from prunescope.store.artefacts.records import Results
from prunescope.store.database import Database
from prunescope.store.evaluations.queries import Measurements
from prunescope.store.jobs.queries import describe, known_jobs
from prunescope.store.studies.durations import Basis, PastJobs
from prunescope.store.studies.grid import Cell

_BASES: dict[Basis, str] = {
    "other kinds": "rough, within a few times: based on the times of other kinds of jobs, as none like it has run",
    "other models": "based on the times of earlier jobs of other models, scaled by the sizes of their weights",
    "same model": "based on the times of earlier jobs of the same models",
}
"""What an estimate is based on, the least certain first."""


def estimate(
    database: Database,
    results: Results,
    measurements: Measurements,
    cells: Sequence[Cell],
    size: Callable[[str], float | None],
    *,
    force: bool = False,
) -> Estimate:
    """The estimated work of these cells; nothing is queued. With `force`, all of them are counted as new jobs. `size`
    returns the size of a dense model's weights, None if it is unknown."""
    with database.reading() as connection:
        known = {} if force else known_jobs(connection, (cell.fingerprint for cell in cells))
    new = list({cell.fingerprint: cell for cell in cells if cell.fingerprint not in known}.values())
    count = Counter(cell.kind for cell in new)
    if new:
        seconds, basis = _time(PastJobs(database, results, measurements, new, size), new)
    else:
        seconds, basis = 0.0, "everything is known already"
    return Estimate(
        cells=len(cells),
        known=len(cells) - len(new),
        new=NewJobs(**{str(kind): number for kind, number in count.items()}),
        seconds=seconds,
        basis=basis,
    )


def _time(past: PastJobs, new: Sequence[Cell]) -> tuple[float | None, str]:
    """(total seconds, what the estimate is based on) for new cells. Seconds is None if any cell has no similar earlier
    job."""
    times = {cell.fingerprint: past.expected(cell) for cell in new}
    unknown = [cell for cell in new if times[cell.fingerprint] is None]
    if unknown:
        first = describe(unknown[0].kind, unknown[0].spec.model_dump(mode="json"))
        return None, f"nothing like {len(unknown)} of {len(new)} jobs has been run here yet; the first: {first}"
    known = [time for time in times.values() if time is not None]
    basis = next(basis for basis in _BASES if any(time.basis == basis for time in known))
    one_after_another = "" if len(new) == 1 else "; one worker, one job after another"
    return sum(time.seconds for time in known), f"{_BASES[basis]}{one_after_another}"
