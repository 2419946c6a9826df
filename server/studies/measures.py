"""How accuracies and perplexities are written and coloured: accuracies in percent, perplexities as papers print them.

    Accuracy      75.0, and its difference to dense in points: -3.4
    Perplexity    5.12, and its ratio to dense: 1.270; the logarithm of that is the difference of losses, nats a token

Colours follow what is gained against the dense model: more accuracy, less loss.
"""

from math import exp, log

from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument
from prunescope.store.evaluations.values import Interval, Measure, perplexity

AXIS_NAMES = {"calibration": "calibration set", "seqlen": "window length", "group": "task group"}
TEXT_AXES = {"task": "text", "group": "kind of text"}
"""Perplexity is measured on texts."""


class MeasureWords:
    """Words, numbers and colours of accuracies, which are shares and are shown in percent. `Perplexity` overrides all.

    ``unit`` follows a number, ``difference_unit`` a difference; ``mean`` is the kind of mean over the axes that are not
    shown. Of charts are ``plotted`` (the axis' title), ``levels`` (which lines go across) and ``no_difference`` (where
    dense stands among differences).
    """

    name, difference_name = "accuracy", "difference"
    rows_name, worse_name, better_name = "rows", "newly wrong", "newly right"
    title = "Accuracy"
    caption = "Accuracy in percent"
    difference_title = "Difference to dense"
    difference_caption = f"Accuracy {formats.MINUS} accuracy of the dense model, in points"
    unit = " %"
    difference_unit = " points"
    colours = "Orange: below the dense model, blue: above it"
    best = "Bold: best of the row."
    mean = "mean"
    link = "See what broke"
    opens = "A cell opens its examples, the ones that pruning broke first."
    plotted, difference_plotted = "accuracy, %", "points to dense"
    levels = "dashed: dense, dotted: chance"
    no_difference, logarithmic = 0.0, False

    _SMALLEST_SCALE = 0.05  # the colours end at five points at least: noise must not look like a loss

    def value(self, cell: CellDocument) -> float | None:
        return cell.accuracy

    def difference(self, cell: CellDocument) -> float | None:
        return cell.difference

    def difference_interval(self, cell: CellDocument) -> Interval | None:
        return cell.difference_interval

    def text(self, value: float) -> str:
        return formats.accuracy(value)

    def difference_text(self, difference: float) -> str:
        return formats.points(difference)

    def spread_text(self, spread: float) -> str:
        return formats.decimal(100 * spread, 1)

    def gain(self, cell: CellDocument) -> float | None:
        """What the colour stands for, positive where the cell is better than dense."""
        return cell.difference

    def scale(self, largest: float) -> float:
        """Where the colours end, by the largest difference of the table."""
        return max(self._SMALLEST_SCALE, largest)

    def ends(self, scale: float) -> tuple[str, str]:
        """The texts at the two ends of the colours, the worse one first."""
        end = formats.decimal(100 * scale, 0)
        return f"{end} below dense", f"{end} above"

    def place(self, value: float) -> float:
        """The coordinate of a value or a difference in a chart."""
        return round(100 * value, 2)

    def more(self, cell: CellDocument) -> list[tuple[str, str]]:
        """Further lines of a cell's details: (name, text)."""
        rows = []
        if cell.chance is not None:
            near = ", not distinguishable from it" if cell.at_chance else ""
            rows.append(("chance", f"{formats.accuracy(cell.chance)} %{near}"))
        if cell.majority is not None and cell.majority != cell.chance:
            rows.append(("majority", f"{formats.accuracy(cell.majority)} %"))
        return rows


class Perplexity(MeasureWords):
    """exp of the mean loss; compared with the dense model's as a ratio, whose logarithm is a cell's difference."""

    name, difference_name = "perplexity", "ratio"
    rows_name, worse_name, better_name = "tokens", "windows worse", "windows better"
    title = "Perplexity"
    caption = "Perplexity"
    difference_title = "Ratio to dense"
    difference_caption = "Perplexity as a multiple of the dense model's"
    unit = ""
    difference_unit = f"{formats.SPACE}{formats.TIMES}"
    colours = "Orange: worse than the dense model, blue: better"
    best = "Bold: best of the row, the lowest."
    mean = "geometric mean"
    link = "Its evaluation"
    opens = "A cell opens its evaluation."
    plotted, difference_plotted = "perplexity", "ratio to dense"
    levels = "dashed: dense"
    no_difference, logarithmic = 1.0, True

    _SMALLEST_SCALE = log(1.05)
    _LARGEST_SCALE = log(2)  # a method that breaks the model must not make all others look alike

    def value(self, cell: CellDocument) -> float | None:
        return cell.perplexity

    def difference(self, cell: CellDocument) -> float | None:
        return cell.ratio

    def difference_interval(self, cell: CellDocument) -> Interval | None:
        ends = cell.difference_interval
        return None if ends is None else (perplexity(ends[0]), perplexity(ends[1]))

    def text(self, value: float) -> str:
        return formats.perplexity(value)

    def difference_text(self, difference: float) -> str:
        return f"{difference:.3f}" if difference < 10 else formats.perplexity(difference)

    def spread_text(self, spread: float) -> str:
        return f"{self.difference_text(spread)}{self.difference_unit}"

    def gain(self, cell: CellDocument) -> float | None:
        return None if cell.difference is None else -cell.difference

    def scale(self, largest: float) -> float:
        return min(self._LARGEST_SCALE, max(self._SMALLEST_SCALE, largest))

    def ends(self, scale: float) -> tuple[str, str]:
        more = " or more" if scale == self._LARGEST_SCALE else ""
        return f"{formats.times(exp(scale))} dense{more}", formats.times(exp(-scale))

    def place(self, value: float) -> float:
        return float(f"{value:.6g}")

    def more(self, cell: CellDocument) -> list[tuple[str, str]]:
        if cell.difference is None:
            return []
        ends = "" if cell.difference_interval is None else " to ".join(map(_nats, cell.difference_interval))
        return [("loss", f"{_nats(cell.difference)} nats a token{f' ({ends})' if ends else ''}")]


def _nats(difference: float) -> str:
    text = formats.decimal(difference)
    return f"+{text}" if difference > 0 and float(text) else text


MEASURES: dict[Measure, MeasureWords] = {"accuracy": MeasureWords(), "perplexity": Perplexity()}


def axis_name(axis: str, measure: Measure = "accuracy") -> str:
    """The name of an axis on pages: ``calibration set``; for perplexity a task is a ``text``."""
    names = {**AXIS_NAMES, **TEXT_AXES} if measure == "perplexity" else AXIS_NAMES
    return names.get(axis, axis)
