"""The rows of an explanation in both models: recorded, dealt to halves, and chosen for ranking and for measuring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from prunescope.lm.errors import BadInput
from prunescope.nsa.explain.curves import Margins
from prunescope.nsa.explain.outcome import Options
from prunescope.nsa.explain.rows import Numbers, Row, halves, is_right, margins
from prunescope.nsa.explain.running import Step, Subject
from prunescope.nsa.explain.spools import Open, Recorded

MIN_ROWS = 2
"""Rows of each half that rank, and rows that are measured, at least."""


@dataclass(frozen=True)
class Recording:
    """One model on all rows: its activations, the log-probabilities of every row's choices, and the margins."""

    activations: Recorded
    scores: list[list[float]]
    margins: Float[np.ndarray, " rows"]


def record(subject: Subject, name: str, open_spool: Open, step: Step) -> Recording:
    """Run all rows through a model once. `name` is the model's role in the spools' names. Raises NotFinite."""
    rows = subject.layout.rows
    activations = Recorded(open_spool, name, subject.sites, subject.layout.tokens, subject.model.dtype)
    found = subject.record(activations, range(len(rows)), step)
    scores = [found[number] for number in range(len(rows))]
    return Recording(activations, scores, margins(rows, scores))


@dataclass(frozen=True)
class Sample:
    """The rows, both recordings, and which rows are used for what. `broken`, `mended` and `fell` are masks of all rows.
    `ranked` are the rows of each half that rank the neurons for the other half, `measured` the rows over which shares
    are summed; `margins` has the margins of all rows."""

    rows: Sequence[Row]
    dense: Recording
    pruned: Recording
    halves: tuple[Numbers, Numbers]
    broken: Bool[np.ndarray, " rows"]
    mended: Bool[np.ndarray, " rows"]
    fell: Bool[np.ndarray, " rows"]
    ranked: tuple[Numbers, Numbers]
    measured: Numbers
    margins: Margins

    @property
    def lost(self) -> Float[np.ndarray, " rows"]:
        """The lost margin of every row, in nats."""
        found: np.ndarray = self.dense.margins - self.pruned.margins
        return found

    @property
    def fixed_labels(self) -> int:
        """The number of labels of a task whose choices are the same in every row, else 0."""
        return len(self.rows[0].choices) if self.rows[0].label is not None else 0


def sample(rows: Sequence[Row], dense: Recording, pruned: Recording, options: Options) -> Sample:
    """Deal the rows to halves. Raises BadInput if too few rows rank the neurons or are measured."""
    dense_right, pruned_right = (is_right(rows, each.scores) for each in (dense, pruned))
    broken = dense_right & ~pruned_right
    fell = pruned.margins < dense.margins
    dealt = halves(rows, broken, fell, options.seed)
    measured = {"broken": broken, "fell": fell, "all": np.ones(len(rows), dtype=bool)}[options.rows]
    first, second = dealt if options.rows == "all" else (half[fell[half]] for half in dealt)
    found = Sample(
        rows=rows,
        dense=dense,
        pruned=pruned,
        halves=dealt,
        broken=broken,
        mended=pruned_right & ~dense_right,
        fell=fell,
        ranked=(first, second),
        measured=np.flatnonzero(measured),
        margins=Margins(
            dense=dense.margins,
            pruned=pruned.margins,
            dense_right=dense_right,
            pruned_right=pruned_right,
            measured=measured,
            has_answers=len(rows[0].choices) > 1,
            seed=options.seed,
        ),
    )
    _check_enough(found, options)
    return found


def _check_enough(found: Sample, options: Options) -> None:
    """Raise BadInput, saying what to do, unless enough rows rank and are measured, and lost some of their margin."""
    count, fell = len(found.rows), int(found.fell.sum())
    unit = "rows" if found.margins.has_answers else "windows"
    said = {
        "broken": f"pruning broke {int(found.broken.sum())} of {count} rows, and the margin fell in {fell}",
        "fell": f"the margin fell in {fell} of {count} {unit}",
        "all": f"there are {count} {unit}",
    }[options.rows]
    if len(found.measured) < MIN_ROWS or min(map(len, found.ranked)) < MIN_ROWS:
        wider = "; or measure every row whose margin fell (rows: fell)" if options.rows == "broken" else ""
        least = {
            "broken": f"{MIN_ROWS} broken rows, and {2 * MIN_ROWS} rows whose margin fell",
            "fell": f"{2 * MIN_ROWS} such {unit}",
            "all": f"{2 * MIN_ROWS} {unit}",
        }[options.rows]
        raise BadInput(f"{said}; an explanation needs {least}: take more {unit} (limit){wider}")
    for name, some in (("ranking", found.ranked[0]), ("ranking", found.ranked[1]), ("measured", found.measured)):
        mean = found.lost[some].mean()
        if mean <= 0:
            raise BadInput(
                f"pruning did not lower the margin of the {len(some)} {name} {unit} ({mean:+.3f} nats lost on average),"
                f" so there is no loss to explain: take more {unit} (limit), or rows: fell"
            )
