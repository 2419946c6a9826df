"""The result of `explain`: what pruning broke, and through which neurons."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prunescope.display import data_frame, html_table
from prunescope.server.site import formats
from prunescope.store.explanations.documents import Explanation as Document
from prunescope.store.explanations.documents import HeadShare, NeuronShare, Point

if TYPE_CHECKING:
    import pandas

COLUMNS = ("ranking", "k", "restored", "low", "high", "right_again", "newly_wrong")
NEURON_COLUMNS = ("name", "rank", "share", "integrated", "prior", "content", "change", "words")


@dataclass(frozen=True)
class Explanation:
    """What pruning broke on a task or a text, and through which neurons.

    `curves`: ranking -> what the best k neurons restore of the lost margin of held-out rows, with 95 % intervals.
    `neurons` and `heads` are those with the largest lost-margin shares. `document` is the whole document
    (docs/explain.md describes its numbers). `folder` holds the artefact; None if no output was asked for.
    """

    name: str  # arc_easy · wanda · c4 128x2048 · 0.5
    curves: dict[str, list[Point]] = field(repr=False)
    neurons: Sequence[NeuronShare] = field(repr=False)
    heads: list[HeadShare] = field(repr=False)
    document: Document = field(repr=False)
    folder: Path | None = None

    def restored(self, k: int, ranking: str = "margin") -> float:
        """The share of the lost margin that the best `k` neurons of a ranking restore. Raises KeyError for a ranking or
        a number of neurons that was not measured."""
        return {point.k: point.restored for point in self.curves[ranking]}[k]

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each ranking and number of neurons. Raises ImportError without pandas."""
        rows = [{"ranking": name, **point.model_dump()} for name, curve in self.curves.items() for point in curve]
        return data_frame([{column: row[column] for column in COLUMNS} for row in rows], COLUMNS)

    def neurons_to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each neuron behind the loss. Raises ImportError without pandas."""
        rows = [{**each.model_dump(), "words": ", ".join(word.word for word in each.words)} for each in self.neurons]
        return data_frame([{column: row[column] for column in NEURON_COLUMNS} for row in rows], NEURON_COLUMNS)

    def _repr_html_(self) -> str:
        rows = self.document.rows
        unit = "rows" if self.document.measure == "margin" else "windows"
        counts = [point.k for point in self.curves["margin"]]
        note = (
            f"share of the lost margin that the best k neurons restore, over {rows.measured} held-out {unit} "
            f"({rows.measured_are}); all neurons {formats.percent(self.document.all.neurons.restored, 1)}"
        )
        shown = [
            (name, *(formats.percent(point.restored, 1) for point in curve)) for name, curve in self.curves.items()
        ]
        return html_table(self.name, note, ("ranking", *(f"{count:,}" for count in counts)), shown, words=("ranking",))


def explanation(document: Document, folder: Path | None) -> Explanation:
    """The Explanation for a document `explanation.json`."""
    source = document.source.task or document.source.perplexity or ""
    return Explanation(
        name=f"{source} · {document.labels[1]}",
        curves=document.curves,
        neurons=document.neurons,
        heads=document.heads,
        document=document,
        folder=folder,
    )
