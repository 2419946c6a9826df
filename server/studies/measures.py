"""Words, number formats and colour scales of the measures.

MeasureWords  accuracy in percent, 75.0; its change against the dense model in points, -3.4
Perplexity    5.12; its change is the ratio to the dense model's, 1.270 = exp(difference of losses in nats per token)
"""

from collections.abc import Callable, Mapping
from math import exp, log

from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument
from prunescope.store.evaluations.values import Measure

AXIS_NAMES = {"calibration": "calibration set", "seqlen": "window length", "group": "task group"}
AXES_OF_TEXTS = {**AXIS_NAMES, "task": "text", "group": "kind of text"}


class MeasureWords:
    """Words, formats and colours of accuracies. Accuracies are shares (0 to 1), shown in percent.

    A change is the difference of accuracies or the ratio of perplexities to the dense model. ``unit`` follows a value,
    ``change_unit`` a change; ``mean`` is the kind of mean over the axes that are not shown. ``plotted`` and
    ``change_plotted`` are titles of a chart's y axis, ``levels`` explains its horizontal lines, ``no_change`` is the
    change of the dense model itself. ``intervals``, ``means`` and ``test`` say how a table's numbers were computed.
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
    lower_is_better = False
    intervals = "Intervals are 95 % ones: Wilson's of an accuracy, Tango's of the difference on the same rows."
    means = (
        "The interval of a mean over tasks is computed from the tasks' own intervals: it covers which rows were "
        "sampled, not which calibration data were drawn. A mean over the same rows has none."
    )
    test = "McNemar's exact test"

    axes: Mapping[str, str] = AXIS_NAMES
    text: Callable[[float], str] = staticmethod(formats.accuracy)
    change_text: Callable[[float], str] = staticmethod(formats.points)
    _SMALLEST_SCALE = 0.05  # at least five points, so that noise does not look like a loss

    def axis(self, axis: str) -> str:
        """The name of an axis: ``calibration set`` for calibration; for perplexities, ``text`` for task."""
        return self.axes.get(axis, axis)

    def spread_text(self, spread: float) -> str:
        return formats.decimal(100 * spread, 1)

    def size_text(self, difference: float) -> str:
        """The size of a difference, without sign."""
        return f"{formats.decimal(100 * difference, 1)} points"

    def scale(self, largest: float) -> float:
        """The difference that gets the strongest colour. ``largest``: the largest absolute difference of the table."""
        return max(self._SMALLEST_SCALE, largest)

    def ends(self, scale: float) -> tuple[str, str]:
        """The labels of the ends of the colour scale, the worse end first."""
        end = formats.decimal(100 * scale, 0)
        return f"{end} below dense", f"{end} above"

    def place(self, value: float) -> float:
        """The y coordinate of a value or a change in a chart."""
        return round(100 * value, 2)

    def more(self, cell: CellDocument) -> dict[str, str]:
        """The lines of a cell's details that only this measure has: name -> text."""
        lines = {}
        if cell.chance is not None:
            near = ", not distinguishable from it" if cell.at_chance else ""
            lines["chance"] = f"{formats.accuracy(cell.chance)} %{near}"
        if cell.majority is not None and cell.majority != cell.chance:
            lines["majority"] = f"{formats.accuracy(cell.majority)} %"
        return lines


def _ratio(change: float) -> str:
    return f"{change:.3f}" if change < 10 else formats.perplexity(change)


class Perplexity(MeasureWords):
    """Words, formats and colours of perplexities. Differences are of losses, in nats per token."""

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
    lower_is_better = True
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
    text = staticmethod(formats.perplexity)
    change_text = staticmethod(_ratio)
    _SMALLEST_SCALE = log(1.05)
    _LARGEST_SCALE = log(2)  # so that one broken model does not make all other cells look equal

    def spread_text(self, spread: float) -> str:
        return f"{self.change_text(spread)}{self.change_unit}"

    def size_text(self, difference: float) -> str:
        return f"{formats.decimal(difference, 3)} nats a token"

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
        ends = (
            ""
            if cell.difference_interval is None
            else f" ({' to '.join(map(formats.signed_decimal, cell.difference_interval))})"
        )
        return {"loss": f"{formats.signed_decimal(cell.difference)} nats a token{ends}"}


class Auc(MeasureWords):
    """Words, formats and colours of AUCs (0 to 1) of tasks with fixed labels; 0.5 is chance."""

    name = "AUC"
    title = "AUC"
    caption = "AUC: how well the scores tell the labels apart"
    change_caption = f"AUC {formats.MINUS} AUC of the dense model"
    unit = change_unit = ""
    plotted, change_plotted = "AUC", "AUC, difference to dense"
    intervals = (
        "Intervals are 95 % ones: DeLong's on the logit scale of an AUC, a bootstrap over the rows, the same for both "
        "models, of the difference."
    )
    test = "DeLong's test of two AUCs on the same rows"

    text = staticmethod(formats.decimal)
    change_text = staticmethod(formats.signed_decimal)

    def spread_text(self, spread: float) -> str:
        return formats.decimal(spread)

    def size_text(self, difference: float) -> str:
        return formats.decimal(difference, 3)

    def ends(self, scale: float) -> tuple[str, str]:
        end = formats.decimal(scale, 2)
        return f"{end} below dense", f"{end} above"

    def place(self, value: float) -> float:
        return round(value, 4)

    def more(self, cell: CellDocument) -> dict[str, str]:
        return {"chance": f"0.5{', not distinguishable from it' if cell.at_chance else ''}"}


class PriorShift(MeasureWords):
    """Words, formats and colours of prior shifts: shares (0 to 1), shown in percent of the rows."""

    name = "prior shift"
    title = "Prior shift"
    caption = "Prior shift: how far the shares of labels said are from the shares in which they are right, in percent"
    change_caption = f"Prior shift {formats.MINUS} prior shift of the dense model, in points"
    colours = "Orange: further from the right shares than the dense model, blue: closer"
    best = "Bold: best of the row, the lowest."
    plotted, change_plotted = "prior shift, % of rows", "points to dense"
    levels = "dashed: dense"
    lower_is_better = True
    intervals = "Prior shifts and their differences have no interval."
    means = ""

    def ends(self, scale: float) -> tuple[str, str]:
        end = formats.decimal(100 * scale, 0)
        return f"{end} above dense", f"{end} below"


class AdjustedAccuracy(MeasureWords):
    """Words, formats and colours of adjusted accuracies."""

    name = "adjusted accuracy"
    title = "Adjusted accuracy"
    caption = "Accuracy in percent if each label is said as often as it is right"
    change_caption = f"Adjusted accuracy {formats.MINUS} adjusted accuracy of the dense model, in points"
    plotted, change_plotted = "adjusted accuracy, %", "points to dense"
    levels = "dashed: dense"
    intervals = "Adjusted accuracies and their differences have no interval."
    means = ""


MEASURES: dict[Measure, MeasureWords] = {
    "accuracy": MeasureWords(),
    "perplexity": Perplexity(),
    "auc": Auc(),
    "prior": PriorShift(),
    "adjusted": AdjustedAccuracy(),
}
