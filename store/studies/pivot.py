"""Any two axes of a study crossed: rows and columns of cells, each one fact or the mean of several.

    Pivot        two axes crossed, the others averaged over or filtered
    PivotCell    the facts that meet in a row and a column

A table of 18,144 facts is crossed while a page waits, so all cells are computed together: the facts stand in the order
of their cells, and each sum is one `reduceat` over them.
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
    """The facts that meet in a row and a column, `only` where it is a single one.

    Intervals, rows and changed rows are given for one measurement, and for the mean of several that share no rows,
    which are those on different tasks: the ends of a mean's interval are as far away as the ends of theirs say (MOVER;
    Zou and Donner, Statistics in Medicine 27, 2008).
    """

    only: Fact | None
    value: float | None
    """The accuracy; of a table of perplexities the mean loss in nats a token. So are `dense` and the differences."""
    interval: Interval | None
    dense: float | None
    difference: float | None
    difference_interval: Interval | None
    p: float | None
    q: float | None
    survivors: int
    """Facts whose difference holds at a false discovery rate of 5 % over all facts of the table."""
    rows: int | None
    newly_wrong: int | None
    newly_right: int | None
    chance: float | None
    majority: float | None
    at_chance: bool
    """Its interval holds chance; of a mean without an interval: every one of its facts' does."""
    facts: int
    done: int
    failed: int
    state: JobState
    pruned: str | None
    """The pruned model that all of its facts are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """Two axes crossed; the other ones are averaged over, or held to some labels by `where`."""

    rows: Axis
    columns: Axis
    where: dict[str, tuple[str, ...]]
    row_labels: list[str]
    column_labels: list[str]
    dense: list[float | None]
    """The dense value of each row, the mean over the facts of the row."""
    cells: list[list[PivotCell | None]]
    averaged: list[Axis]
    """The other axes whose labels some cell is a mean over."""
    tested: int
    """How many facts have a p: the family of Benjamini-Hochberg."""
    surviving: int


def pivot(table: StudyTable, rows: str, columns: str, where: Where | None = None) -> Pivot:
    """Cross two different axes. Problem 422 for an axis, or a label of `where`, that is not there."""
    for name, given in (("rows", rows), ("columns", columns)):
        if given not in AXES:
            raise bad_field(name, given, list(AXES), unknown_name(given, AXES))
    if rows == columns:
        raise bad_field("columns", columns, [axis for axis in AXES if axis != rows], "is the same as rows")
    down, across = _axis(rows), _axis(columns)
    held = _held(table, where or {})
    row_codes, column_codes = table.facts_by.codes[down], table.facts_by.codes[across]
    chosen = np.flatnonzero(_kept(table, held))
    width = len(table.axes[across])
    place = row_codes[chosen] * width + column_codes[chosen]
    order = np.argsort(place, kind="stable")
    chosen, place = chosen[order], place[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    q = np.full(len(chosen), np.nan)
    p = table.facts_by.p[chosen]
    q[~np.isnan(p)] = benjamini_hochberg(p[~np.isnan(p)])
    meeting = _Meeting(table, chosen, starts, q)
    cells = {int(place[start]): cell for start, cell in zip(starts, meeting.cells(), strict=True)}
    row_order, column_order = (np.unique(codes[chosen]).tolist() for codes in (row_codes, column_codes))
    return Pivot(
        rows=down,
        columns=across,
        where=held,
        row_labels=[table.axes[down][row] for row in row_order],
        column_labels=[table.axes[across][column] for column in column_order],
        dense=_dense(table, chosen, row_codes[chosen], row_order),
        cells=[[cells.get(row * width + column) for column in column_order] for row in row_order],
        averaged=[axis for axis in AXES if axis not in {down, across} and meeting.several(axis)],
        tested=int((~np.isnan(p)).sum()),
        surviving=int((q <= FALSE_DISCOVERY_RATE).sum()),
    )


def _axis(name: str) -> Axis:
    return next(axis for axis in AXES if axis == name)


def _held(table: StudyTable, where: Where) -> dict[str, tuple[str, ...]]:
    held: dict[str, tuple[str, ...]] = {}
    for name, labels in where.items():
        if name not in AXES:
            raise bad_field(name, list(labels), list(AXES), unknown_name(name, AXES))
        known = table.axes[name]
        for label in labels:
            if label not in known:
                raise bad_field(name, label, known, unknown_name(label, known))
        held[name] = tuple(dict.fromkeys(labels))
    return held


def _kept(table: StudyTable, held: dict[str, tuple[str, ...]]) -> Bools:
    kept = np.ones(len(table.facts_by.state), np.bool_)
    for axis, labels in held.items():
        kept &= np.isin(table.facts_by.codes[axis], [table.axes[axis].index(label) for label in labels])
    return kept


def _dense(table: StudyTable, chosen: Ints, rows: Ints, row_order: Sequence[int]) -> list[float | None]:
    """The mean over each row; the facts stand in the order of the rows already."""
    if not len(chosen):
        return []
    starts = np.searchsorted(rows, np.asarray(row_order))
    return _or_none(_mean(table.facts_by.dense[chosen], starts))


class _Meeting:
    """Facts in the order of their cells (`chosen`, their places in the table), and where each cell starts."""

    def __init__(self, table: StudyTable, chosen: Ints, starts: Ints, q: Floats) -> None:
        self.table, self.chosen, self.starts, self.q = table, chosen, starts, q
        self.sizes = np.diff(starts, append=len(chosen))

    def several(self, axis: Axis) -> bool:
        """Whether a cell is a mean over labels of this axis. A task has one group: that tasks are averaged says it."""
        codes = self.table.facts_by.codes[axis][self.chosen]
        return axis != "group" and len(codes) > 0 and bool((self._most(codes) != self._least(codes)).any())

    def cells(self) -> Iterator[PivotCell]:
        """Every cell, in the order of their starts."""
        if not len(self.chosen):
            return
        by, at, sizes = self.table.facts_by, self.chosen, self.sizes
        done = self._count(~np.isnan(by.value[at]))
        pairs = self._count(~np.isnan(by.paired_difference[at]))
        apart = self._apart()
        paired = apart & (pairs > 0) & (pairs == done)
        low, high = self._interval(by.value[at], by.low[at], by.high[at], apart & (done > 0))
        difference_ends = self._interval(by.paired_difference[at], by.paired_low[at], by.paired_high[at], paired)
        chance = _mean(by.chance[at], self.starts)
        near = self._count((by.low[at] <= by.chance[at]) & (by.chance[at] <= by.high[at]))
        at_chance = np.where(np.isnan(low), (done > 0) & (near == done), (low <= chance) & (chance <= high))
        states = [self._count(by.state[at] == code) > 0 for code in range(len(STATES))]
        failed = self._count(np.isin(by.state[at], [STATES.index(each) for each in UNSUCCESSFUL]))
        one_model = self._most(by.pruned[at]) == self._least(by.pruned[at])
        value, dense, difference, chances, majority = (
            _or_none(values)
            for values in (
                _mean(by.value[at], self.starts),
                _mean(by.dense[at], self.starts),
                _mean(by.difference[at], self.starts),
                chance,
                # Of some of the tasks alone it would stand beside the accuracy of all.
                np.where(self._count(~np.isnan(by.majority[at])) == done, _mean(by.majority[at], self.starts), np.nan),
            )
        )
        rows, wrong, right = (
            _whole(np.where(given, self._sum(values[at]), np.nan))
            for given, values in ((apart & (done > 0), by.rows), (paired, by.newly_wrong), (paired, by.newly_right))
        )
        interval, difference_interval = _pairs(low, high), _pairs(*difference_ends)
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

    def _apart(self) -> Bools:
        """The facts of a cell are on different tasks: no row is part of two of them, what they say is independent."""
        cell = np.repeat(np.arange(len(self.starts)), self.sizes)
        tasks = self.table.facts_by.codes["task"][self.chosen]
        width = len(self.table.axes["task"])
        different = np.bincount(np.unique(cell * width + tasks) // width, minlength=len(self.starts))
        apart: Bools = different == self.sizes
        return apart

    def _interval(self, value: Floats, low: Floats, high: Floats, given: Bools) -> tuple[Floats, Floats]:
        """The ends of the interval of each cell's mean, where it is `given` and every value in it has one."""
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

    def _least(self, codes: Ints) -> Ints:
        least: Ints = np.minimum.reduceat(codes, self.starts)
        return least

    def _most(self, codes: Ints) -> Ints:
        most: Ints = np.maximum.reduceat(codes, self.starts)
        return most


def _mean(values: Floats, starts: Ints) -> Floats:
    """The mean of each piece, of what is there; NaN where nothing is."""
    there = np.add.reduceat((~np.isnan(values)).astype(np.int64), starts)
    sums = np.add.reduceat(np.nan_to_num(values), starts)
    return np.where(there > 0, sums / np.maximum(there, 1), np.nan)


def _or_none(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _whole(values: Floats) -> list[int | None]:
    return [None if value is None else round(value) for value in _or_none(values)]


def _pairs(low: Floats, high: Floats) -> list[Interval | None]:
    ends = zip(low.tolist(), high.tolist(), strict=True)
    return [None if one != one or other != other else (one, other) for one, other in ends]
