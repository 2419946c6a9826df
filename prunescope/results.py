"""Results of pruning and evaluation: frozen dataclasses that a notebook shows as tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunescope.display import data_frame, html_table
from prunescope.server.site import formats

if TYPE_CHECKING:
    import pandas
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prunescope.evaluation.accuracy import TaskResult
    from prunescope.evaluation.perplexity import Perplexity


@dataclass(frozen=True)
class PrunedMatrix:
    """One pruned matrix W'.

    `sparsity` is the share of its weights that are zero. `relative_error` is the output error ||(W' - W) X|| / ||W X||
    on a sample of the calibration tokens; None without calibration. `damping_retries` is the number of times that a
    method had to increase the damping of its Hessian. `permuted`: the n:m pattern holds in a permutation of the
    columns, not in the stored order. `sparsity_note` and `error_note` say why the sparsity differs from the requested
    one and why no error was measured; empty if neither is the case.
    """

    layer: int
    name: str
    rows: int
    columns: int
    sparsity: float
    relative_error: float | None
    damping_retries: int
    permuted: bool
    sparsity_note: str
    error_note: str


@dataclass(frozen=True)
class PrunedModel:
    """The result of `prune`: a pruned model on disk (`folder`), in memory (`model`), or both; the other is None.

    `sparsity` is the share of zeros in all pruned matrices. `relative_error` is the mean output error of the matrices;
    None if none was measured. `record` is the document `pruning.json`: the spec, device, dtype and library versions,
    seconds, and a report for every layer.
    """

    label: str  # wanda · c4 128x2048 · 0.5
    sparsity: float
    relative_error: float | None
    seconds: float
    matrices: tuple[PrunedMatrix, ...] = field(repr=False)
    folder: Path | None
    model: "PreTrainedModel | None" = field(repr=False)
    tokenizer: "PreTrainedTokenizerBase | None" = field(repr=False)
    record: Mapping[str, Any] = field(repr=False)

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each matrix. Raises ImportError without pandas."""
        names = [each.name for each in fields(PrunedMatrix)]
        return data_frame([{name: getattr(matrix, name) for name in names} for matrix in self.matrices], names)

    def _repr_html_(self) -> str:
        rows = []
        for layer in self.record["layers"]:
            errors = [each["relative_error"] for each in layer["matrices"] if each["relative_error"] is not None]
            error = formats.decimal(sum(errors) / len(errors) if errors else None)
            rows.append((str(layer["matrices"][0]["layer"]), _percent(layer["sparsity"]), error))
        place = f"{self.folder} · " if self.folder else ""
        note = f"{place}{len(self.matrices)} matrices, {self.sparsity:.2%} zeros, {self.seconds:.1f} s"
        return html_table(self.label, note, ("layer", "zeros", "relative error"), rows)


def pruned_model(
    record: Mapping[str, Any],
    folder: Path | None,
    model: "PreTrainedModel | None" = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> PrunedModel:
    """The PrunedModel for a document `pruning.json`."""
    names = [each.name for each in fields(PrunedMatrix)]
    return PrunedModel(
        label=record["label"],
        sparsity=record["sparsity"],
        relative_error=record["relative_error"],
        seconds=record["seconds"],
        matrices=tuple(
            PrunedMatrix(**{name: matrix[name] for name in names})
            for layer in record["layers"]
            for matrix in layer["matrices"]
        ),
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        record=record,
    )


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    `model` is the model's name. `tasks`: task -> accuracy with its interval and the result for every row.
    `perplexities`: text -> perplexity with its interval. `record` is the document that a job stores as
    `evaluation.json`.
    """

    model: str
    tasks: Mapping[str, "TaskResult"] = field(repr=False)
    perplexities: Mapping[str, "Perplexity"] = field(repr=False)
    record: Mapping[str, Any] = field(repr=False)

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each task and each text.

        Columns: name, measure (accuracy or perplexity), value, low and high (95 % interval), count (rows or windows),
        chance (accuracy of random guessing) and majority (accuracy of always giving the most frequent answer). Raises
        ImportError without pandas.
        """
        columns = ("name", "measure", "value", "low", "high", "count", "chance", "majority")
        return data_frame([dict(zip(columns, row, strict=True)) for row in self._rows()], columns)

    def _rows(self) -> list[tuple[Any, ...]]:
        return [
            *(
                (name, "accuracy", each.accuracy, *each.interval, each.rows, each.chance, each.majority)
                for name, each in self.tasks.items()
            ),
            *(
                (name, "perplexity", each.perplexity, *(each.interval or (None, None)), each.windows, None, None)
                for name, each in self.perplexities.items()
            ),
        ]

    def _repr_html_(self) -> str:
        rows = []
        for name, measure, *numbers, count, chance, _ in self._rows():
            shown = _percent if measure == "accuracy" else formats.decimal
            rows.append((name, measure, *map(shown, numbers), formats.count(count), _percent(chance)))
        columns = ("", "measure", "value", "low", "high", "rows or windows", "chance")
        return html_table(self.model, "low and high: 95 % interval", columns, rows, words=("", "measure"))


def evaluation(record: Mapping[str, Any], name: str) -> Evaluation:
    """The Evaluation for a document `evaluation.json`; `name` is the model's name."""
    from prunescope.evaluation.accuracy import ExampleResult, TaskResult
    from prunescope.evaluation.perplexity import Perplexity

    of_task, measured = ([each.name for each in fields(found)] for found in (TaskResult, Perplexity))
    return Evaluation(
        model=name,
        tasks={
            task: TaskResult(
                **{field: each[field] for field in of_task if field != "examples"},
                examples=[ExampleResult(**row) for row in each["examples"]],
            )
            for task, each in record["tasks"].items()
        },
        perplexities={
            text: Perplexity(**{field: each[field] for field in measured})
            for text, each in record["perplexity"].items()
        },
        record=record,
    )


def _percent(share: float | None) -> str:
    return formats.percent(share, 1)
