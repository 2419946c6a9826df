"""Formats times and work estimates for the terminal."""

from prunescope.jobs.documents import Estimate


def eta(seconds: float | None) -> str:
    """A stage's remaining time: `eta 12s`, `eta 2m05s`, `eta 1h02m`; empty if it is unknown or less than a second."""
    return "" if seconds is None or seconds < 1 else f"eta {_time(seconds)}"


def work(estimate: Estimate) -> str:
    """A study's work estimate in one line: `14 cells: 2 known, 12 new (6 prune, 5 evaluate, 1 attribute); about 3m20s
    (...)`."""
    counts = ", ".join(f"{count} {kind}" for kind, count in estimate.new.model_dump().items() if count)
    known = f"{estimate.known} known, " if estimate.known else ""
    new = f"{estimate.new.total} new ({counts})" if counts else "nothing new"
    time = "no time estimate" if estimate.seconds is None else f"about {_time(estimate.seconds)}"
    after = f"; {time} ({estimate.basis})" if counts else ""
    return f"{estimate.cells} cells: {known}{new}{after}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
