"""How accuracies and perplexities are written and coloured: accuracies in percent, perplexities as papers print them.

    Accuracy      75.0, and its change against dense in points: -3.4
    Perplexity    5.12, and its ratio to dense: 1.270; the logarithm of that is the difference of losses, nats a token

Colours follow what is gained against the dense model: more accuracy, less loss.
"""

from collections.abc import Mapping
from math import exp, log

from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument
from prunescope.store.evaluations.values import Measure

AXIS_NAMES = {"calibration": "calibration set", "seqlen": "window length", "group": "task group"}
AXES_OF_TEXTS = {**AXIS_NAMES, "task": "text", "group": "kind of text"}


class MeasureWords:
    """Words, numbers and colours of accuracies, which are shares and are shown in percent. `Perplexity` overrides all.

    A ``change`` is what a cell is beside the dense model: a difference of accuracies, a ratio of perplexities. ``unit``
    follows a number, ``change_unit`` a change; ``mean`` is the kind of mean over the axes that are not shown. Of charts
    are ``plotted`` (the axis' title), ``levels`` (which lines go across) and ``no_change`` (where dense stands among
    changes). ``intervals``, ``means`` and ``test`` say how the numbers of a table were computed.
    """

    name, change_name = "accuracy", "difference"
    rows_name, worse_name, better_name = "rows", "newly wrong", "newly right"
    title = "Accuracy"
    caption = "Accuracy in percent"
    change_title = "Difference to dense"
    change_caption = f"Accuracy {formats.MINUS} accuracy of the dense model, in points"
    unit = " %"
    change_unit = " points"
    colours = "Orange: below the dense model, blue: above it"
    best = "Bold: best of the row."
    mean = "mean"
    link = "See what broke"
    opens = "A cell opens its examples, the ones that pruning broke first."
    plotted, change_plotted = "accuracy, %", "points to dense"
    levels = "dashed: dense, dotted: chance"
    no_change, logarithmic = 0.0, False
    intervals = "Intervals are 95 % ones: Wilson's of an accuracy, Tango's of the difference on the same rows."
    means = (
        "The interval of a mean over tasks is computed from the tasks' own intervals: it covers which rows were "
        "sampled, not which calibration data were drawn. A mean over the same rows has none."
    )
    test = "McNemar's exact test"

    axes: Mapping[str, str] = AXIS_NAMES
    _SMALLEST_SCALE = 0.05  # the colours end at five points at least: noise must not look like a loss

    def axis(self, axis: str) -> str:
        """The name of an axis: ``calibration set``; a task of perplexities is a ``text``."""
        return self.axes.get(axis, axis)

    def text(self, value: float) -> str:
        return formats.accuracy(value)

    def change_text(self, change: float) -> str:
        return formats.points(change)

    def spread_text(self, spread: float) -> str:
        return formats.decimal(100 * spread, 1)

    def scale(self, largest: float) -> float:
        """Where the colours end, by the largest difference of the table."""
        return max(self._SMALLEST_SCALE, largest)

    def ends(self, scale: float) -> tuple[str, str]:
        """The texts at the two ends of the colours, the worse one first."""
        end = formats.decimal(100 * scale, 0)
        return f"{end} below dense", f"{end} above"

    def place(self, value: float) -> float:
        """The coordinate of a value or a change in a chart."""
        return round(100 * value, 2)

    def more(self, cell: CellDocument) -> dict[str, str]:
        """Further lines of a cell's details: name -> text."""
        lines = {}
        if cell.chance is not None:
            near = ", not distinguishable from it" if cell.at_chance else ""
            lines["chance"] = f"{formats.accuracy(cell.chance)} %{near}"
        if cell.majority is not None and cell.majority != cell.chance:
            lines["majority"] = f"{formats.accuracy(cell.majority)} %"
        return lines


class Perplexity(MeasureWords):
    """exp of the mean loss; compared with the dense model's as a ratio, whose logarithm is a cell's difference."""

    name, change_name = "perplexity", "ratio"
    rows_name, worse_name, better_name = "tokens", "windows worse", "windows better"
    title = "Perplexity"
    caption = "Perplexity"
    change_title = "Ratio to dense"
    change_caption = "Perplexity as a multiple of the dense model's"
    unit = ""
    change_unit = f"{formats.SPACE}{formats.TIMES}"
    colours = "Orange: worse than the dense model, blue: better"
    best = "Bold: best of the row, the lowest."
    mean = "geometric mean"
    link = "Its evaluation"
    opens = "A cell opens its evaluation."
    plotted, change_plotted = "perplexity", "ratio to dense"
    levels = "dashed: dense"
    no_change, logarithmic = 1.0, True
    intervals = (
        "Intervals are 95 % ones, Student's over the windows of a text: of the mean loss, and of the difference to the "
        "dense model's on the same windows. A perplexity is e to the power of the loss, a ratio that of a difference."
    )
    means = (
        "A mean is the geometric one, which is the mean of the losses; over different texts it has the interval that "
        "follows from theirs, over the same windows none."
    )
    test = "Student's paired test"

    axes = AXES_OF_TEXTS
    _SMALLEST_SCALE = log(1.05)
    _LARGEST_SCALE = log(2)  # a method that breaks the model must not make all others look alike

    def text(self, value: float) -> str:
        return formats.perplexity(value)

    def change_text(self, change: float) -> str:
        return f"{change:.3f}" if change < 10 else formats.perplexity(change)

    def spread_text(self, spread: float) -> str:
        return f"{self.change_text(spread)}{self.change_unit}"

    def scale(self, largest: float) -> float:
        return min(self._LARGEST_SCALE, max(self._SMALLEST_SCALE, largest))

    def ends(self, scale: float) -> tuple[str, str]:
        more = " or more" if scale == self._LARGEST_SCALE else ""
        return f"{formats.times(exp(scale))} dense{more}", formats.times(exp(-scale))

    def place(self, value: float) -> float:
        return float(f"{value:.6g}")

    def more(self, cell: CellDocument) -> dict[str, str]:
        if cell.difference is None:
            return {}
        ends = "" if cell.difference_interval is None else f" ({' to '.join(map(_nats, cell.difference_interval))})"
        return {"loss": f"{_nats(cell.difference)} nats a token{ends}"}


def _nats(difference: float) -> str:
    text = formats.decimal(difference)
    return f"+{text}" if difference > 0 and float(text) else text


MEASURES: dict[Measure, MeasureWords] = {"accuracy": MeasureWords(), "perplexity": Perplexity()}
