"""Pivot tables of a study: any two axes as rows and columns, each cell one fact or the mean of several.

    Pivot        a pivot table; the other axes are averaged over or filtered
    PivotCell    the facts of one row and column

A pivot table of 18,144 facts is computed during a request, so all cells are computed together: the facts are sorted by
cell, and each sum is one `reduceat` over them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prunescope.jobs.documents import JobState
from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.store.evaluations.paired_statistics import benjamini_hochberg
from prunescope.store.evaluations.values import Interval
from prunescope.store.studies.facts import STATES, Bools, Floats, Ints
from prunescope.store.studies.table import AXES, UNSUCCESSFUL, Axis, Fact, StudyTable, Where

FALSE_DISCOVERY_RATE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PivotCell:
    """The facts of one row and column. `only` is the fact if it is a single one, else None.

    Intervals, rows and changed rows are given for a single measurement, and for the mean of measurements on different
    tasks, which are independent because they share no rows. The interval of a mean is computed from theirs by MOVER
    (Zou and Donner, Statistics in Medicine 27, 2008). All other numbers are means over the facts that have them.
    """

    only: Fact | None
    value: float | None
    """Mean accuracy, or, in a table of perplexities, mean loss in nats per token; likewise `dense` and differences."""
    interval: Interval | None
    dense: float | None
    difference: float | None
    difference_interval: Interval | None
    p: float | None
    q: float | None
    survivors: int
    """Number of facts whose difference is significant at a false discovery rate of 5 % over all facts of the table."""
    rows: int | None
    newly_wrong: int | None
    newly_right: int | None
    chance: float | None
    majority: float | None
    at_chance: bool
    """Whether the interval contains chance; for a mean without an interval, whether the interval of every fact does."""
    facts: int
    done: int
    failed: int
    state: JobState
    pruned: str | None
    """Id of the pruned model if all facts are of the same one, else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """A pivot table with the axes `rows` and `columns`. The other axes are averaged over; `where` restricts axes to
    some of their labels."""

    rows: Axis
    columns: Axis
    where: dict[str, tuple[str, ...]]
    row_labels: list[str]
    column_labels: list[str]
    dense: list[float | None]
    """The dense model's value of each row: the mean over the facts of the row."""
    cells: list[list[PivotCell | None]]
    averaged: list[Axis]
    """The other axes over whose labels at least one cell is a mean."""
    tested: int
    """Number of facts with a p-value: the family of tests of the Benjamini-Hochberg procedure."""
    surviving: int
    """Number of facts whose difference is significant at a false discovery rate of 5 %."""


def pivot(table: StudyTable, rows: str, columns: str, where: Where | None = None) -> Pivot:
    """The pivot table of two different axes. Raises Problem 422 for an unknown axis, an unknown label in `where`, or
    equal axes."""
    for name, given in (("rows", rows), ("columns", columns)):
        if given not in AXES:
            raise bad_field(name, given, list(AXES), unknown_name(given, AXES))
    if rows == columns:
        raise bad_field("columns", columns, [axis for axis in AXES if axis != rows], "is the same as rows")
    down, across = _axis(rows), _axis(columns)
    restrictions = _checked_where(table, where or {})
    row_codes, column_codes = table.facts_by.codes[down], table.facts_by.codes[across]
    chosen = np.flatnonzero(_selected(table, restrictions))
    width = len(table.axes[across])
    place = row_codes[chosen] * width + column_codes[chosen]
    order = np.argsort(place, kind="stable")
    chosen, place = chosen[order], place[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    q = np.full(len(chosen), np.nan)
    p = table.facts_by.p[chosen]
    q[~np.isnan(p)] = benjamini_hochberg(p[~np.isnan(p)])
    grouped = _GroupedFacts(table, chosen, starts, q)
    cells = {int(place[start]): cell for start, cell in zip(starts, grouped.cells(), strict=True)}
    row_order, column_order = (np.unique(codes[chosen]).tolist() for codes in (row_codes, column_codes))
    return Pivot(
        rows=down,
        columns=across,
        where=restrictions,
        row_labels=[table.axes[down][row] for row in row_order],
        column_labels=[table.axes[across][column] for column in column_order],
        dense=_dense_means(table, chosen, row_codes[chosen], row_order),
        cells=[[cells.get(row * width + column) for column in column_order] for row in row_order],
        averaged=[axis for axis in AXES if axis not in {down, across} and grouped.is_averaged(axis)],
        tested=int((~np.isnan(p)).sum()),
        surviving=int((q <= FALSE_DISCOVERY_RATE).sum()),
    )


def _axis(name: str) -> Axis:
    return next(axis for axis in AXES if axis == name)


def _checked_where(table: StudyTable, where: Where) -> dict[str, tuple[str, ...]]:
    """`where` without repeated labels. Raises Problem 422 for an unknown axis or label."""
    checked: dict[str, tuple[str, ...]] = {}
    for name, labels in where.items():
        if name not in AXES:
            raise bad_field(name, list(labels), list(AXES), unknown_name(name, AXES))
        known = table.axes[name]
        for label in labels:
            if label not in known:
                raise bad_field(name, label, known, unknown_name(label, known))
        checked[name] = tuple(dict.fromkeys(labels))
    return checked


def _selected(table: StudyTable, where: dict[str, tuple[str, ...]]) -> Bools:
    """[facts]: whether each fact has one of the labels of `where` on all of its axes."""
    selected = np.ones(len(table.facts_by.state), np.bool_)
    for axis, labels in where.items():
        selected &= np.isin(table.facts_by.codes[axis], [table.axes[axis].index(label) for label in labels])
    return selected


def _dense_means(table: StudyTable, chosen: Ints, rows: Ints, row_order: Sequence[int]) -> list[float | None]:
    """The mean of the dense model's values of each row. `chosen` are indices of facts sorted by row, `rows` their
    rows."""
    if not len(chosen):
        return []
    starts = np.searchsorted(rows, np.asarray(row_order))
    return _or_none(_mean(table.facts_by.dense[chosen], starts))


class _GroupedFacts:
    """Facts grouped by cell: `chosen` are their indices in the table, sorted by cell, `starts` the position of each
    cell's first fact in `chosen`, and `q` their adjusted p-values."""

    def __init__(self, table: StudyTable, chosen: Ints, starts: Ints, q: Floats) -> None:
        self.table, self.chosen, self.starts, self.q = table, chosen, starts, q
        self.sizes = np.diff(starts, append=len(chosen))

    def is_averaged(self, axis: Axis) -> bool:
        """Whether any cell is a mean over several labels of this axis. Always False for groups, which the axis of tasks
        covers."""
        codes = self.table.facts_by.codes[axis][self.chosen]
        return axis != "group" and len(codes) > 0 and bool((self._maximum(codes) != self._minimum(codes)).any())

    def cells(self) -> Iterator[PivotCell]:
        """Yield every cell, in the order of `starts`."""
        if not len(self.chosen):
            return
        by, at, sizes = self.table.facts_by, self.chosen, self.sizes
        done = self._count(~np.isnan(by.value[at]))
        pairs = self._count(~np.isnan(by.paired_difference[at]))
        independent = self._on_different_tasks()
        paired = independent & (pairs > 0) & (pairs == done)
        low, high = self._interval(by.value[at], by.low[at], by.high[at], independent & (done > 0))
        difference_ends = self._interval(by.paired_difference[at], by.paired_low[at], by.paired_high[at], paired)
        chance = _mean(by.chance[at], self.starts)
        near = self._count((by.low[at] <= by.chance[at]) & (by.chance[at] <= by.high[at]))
        at_chance = np.where(np.isnan(low), (done > 0) & (near == done), (low <= chance) & (chance <= high))
        states = [self._count(by.state[at] == code) > 0 for code in range(len(STATES))]
        failed = self._count(np.isin(by.state[at], [STATES.index(each) for each in UNSUCCESSFUL]))
        one_model = self._maximum(by.pruned[at]) == self._minimum(by.pruned[at])
        value, dense, difference, chances, majority = (
            _or_none(values)
            for values in (
                _mean(by.value[at], self.starts),
                _mean(by.dense[at], self.starts),
                _mean(by.difference[at], self.starts),
                chance,
                # None unless all facts have one: a mean over some tasks must not be compared with the mean over all.
                np.where(self._count(~np.isnan(by.majority[at])) == done, _mean(by.majority[at], self.starts), np.nan),
            )
        )
        rows, wrong, right = (
            _integers(np.where(given, self._sum(values[at]), np.nan))
            for given, values in (
                (independent & (done > 0), by.rows),
                (paired, by.newly_wrong),
                (paired, by.newly_right),
            )
        )
        interval, difference_interval = _intervals(low, high), _intervals(*difference_ends)
        survivors = self._count(self.q <= FALSE_DISCOVERY_RATE)
        for i, start in enumerate(self.starts.tolist()):
            first = self.table.fact(int(at[start]))
            only = first if sizes[i] == 1 else None
            pairing = only.pairing if only else None
            yield PivotCell(
                only=only,
                value=value[i],
                interval=interval[i],
                dense=dense[i],
                difference=difference[i],
                difference_interval=difference_interval[i],
                p=pairing.p if pairing else None,
                q=float(self.q[start]) if pairing else None,
                survivors=int(survivors[i]),
                rows=rows[i],
                newly_wrong=wrong[i],
                newly_right=right[i],
                chance=chances[i],
                majority=majority[i],
                at_chance=bool(at_chance[i]),
                facts=int(sizes[i]),
                done=int(done[i]),
                failed=int(failed[i]),
                state=next(state for code, state in enumerate(STATES) if states[code][i]),
                pruned=first.cell.pruned if one_model[i] else None,
            )

    def _on_different_tasks(self) -> Bools:
        """[cells]: whether all facts of a cell are on different tasks. They share no rows then, so that they are
        independent."""
        cell = np.repeat(np.arange(len(self.starts)), self.sizes)
        tasks = self.table.facts_by.codes["task"][self.chosen]
        width = len(self.table.axes["task"])
        different = np.bincount(np.unique(cell * width + tasks) // width, minlength=len(self.starts))
        all_different: Bools = different == self.sizes
        return all_different

    def _interval(self, value: Floats, low: Floats, high: Floats, given: Bools) -> tuple[Floats, Floats]:
        """(low, high) [cells] of the interval of each cell's mean (MOVER); NaN unless the cell is `given` and every
        value in it has an interval."""
        count = self._count(~np.isnan(value))
        whole = given & (self._count(~np.isnan(value) & np.isnan(low)) == 0)
        mean = _mean(value, self.starts)
        below = np.sqrt(self._sum((value - low) ** 2)) / np.maximum(count, 1)
        above = np.sqrt(self._sum((high - value) ** 2)) / np.maximum(count, 1)
        return np.where(whole, mean - below, np.nan), np.where(whole, mean + above, np.nan)

    def _sum(self, values: Floats) -> Floats:
        sums: Floats = np.add.reduceat(np.nan_to_num(values), self.starts)
        return sums

    def _count(self, flags: Bools) -> Ints:
        counts: Ints = np.add.reduceat(flags.astype(np.int64), self.starts)
        return counts

    def _minimum(self, codes: Ints) -> Ints:
        minimum: Ints = np.minimum.reduceat(codes, self.starts)
        return minimum

    def _maximum(self, codes: Ints) -> Ints:
        maximum: Ints = np.maximum.reduceat(codes, self.starts)
        return maximum


def _mean(values: Floats, starts: Ints) -> Floats:
    """The mean of each segment that begins at `starts`, without NaN values; NaN for a segment without other values."""
    count = np.add.reduceat((~np.isnan(values)).astype(np.int64), starts)
    sums = np.add.reduceat(np.nan_to_num(values), starts)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def _or_none(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _integers(values: Floats) -> list[int | None]:
    return [None if value is None else round(value) for value in _or_none(values)]


def _intervals(low: Floats, high: Floats) -> list[Interval | None]:
    ends = zip(low.tolist(), high.tolist(), strict=True)
    return [None if one != one or other != other else (one, other) for one, other in ends]
