"""The summary of an explanation's record: the data that lists show, so that they do not open the artefact."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prunescope.store.explanations.documents import Accuracy, Explanation, Margins, Point


class ListedExplanation(BaseModel):
    """One explanation in a list, and the summary of its record.

    `labels` are the display names of `dense` and `pruned`. `neurons` is what all MLP neurons restore; `best` is the
    point of the ranking `margin` at `BEST` neurons or the nearest smaller count.
    """

    model_config = ConfigDict(frozen=True)

    dense: str
    pruned: str
    labels: list[str]
    task: str | None
    perplexity: str | None
    measure: Literal["margin", "loss"]
    rows: int
    broken: int
    measured: int
    margins: Margins
    accuracy: Accuracy | None
    neurons: float
    best: Point

    @classmethod
    def read(cls, document: Explanation) -> Self:
        """The summary of an explanation's document."""
        curve = document.curves["margin"]
        return cls(
            dense=document.dense,
            pruned=document.pruned,
            labels=document.labels,
            task=document.source.task,
            perplexity=document.source.perplexity,
            measure=document.measure,
            rows=document.rows.rows,
            broken=document.rows.broken,
            measured=document.rows.measured,
            margins=document.margins,
            accuracy=document.accuracy,
            neurons=document.all.neurons.restored,
            best=max((point for point in curve if point.k <= BEST), key=lambda point: point.k, default=curve[0]),
        )

    @classmethod
    def of_record(cls, summary: Mapping[str, Any]) -> Self | None:
        """The summary of an explanation, read from its record; None if an earlier version wrote the record."""
        try:
            return cls.model_validate(summary)
        except ValidationError:
            return None


BEST = 500
"""Number of neurons of the point that lists show."""
