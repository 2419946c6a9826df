"""Opens an attribution's folder and returns its neurons as tables, arrays and figures. Needs neither torch nor a
server.

Numbers, texts and figures come from the same functions and files as those of the server's pages.
"""

import os
import shutil
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from prunescope.display import data_frame, html_frame, html_table
from prunescope.errors import PrunescopeError, prunescope_errors
from prunescope.jobs.paths import expanded
from prunescope.server.attributions.opened import AttributionLocation, OpenAttribution
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.files import FigureQuery, neuron_file
from prunescope.server.neurons.page import default_view
from prunescope.server.neurons.queries import neuron_document
from prunescope.server.site import formats
from prunescope.settings import read_settings
from prunescope.store.artefacts.names import RecordNames
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.documents import ChangedWeight, Controls, NeuronRow, VariantSplit

if TYPE_CHECKING:
    import pandas

MAX_SHOWN = 10
"""Number of neurons in an attribution's table in a notebook."""
COLUMNS = (
    *("layer", "neuron", "rank", "score", "word", "drop", "low", "high", "own", "upstream"),
    *("p_value", "q_value", "lift"),
)

CHARACTERS_IN_A_LINE = 36
"""Estimated characters per line in a pane of a neuron's figure, at the width of most notebooks: two panes side by side
and the third below them."""
LINE_HEIGHT, FIXED_HEIGHT = 54, 660
"""Height of the figure in pixels: for each line of text (in both rows of panes), and for everything else."""


def open_attribution(path: str | os.PathLike[str]) -> "Attribution":
    """Open an attribution that `prunescope.attribute`, the command `prunescope attribute` or a job wrote. `path` is its
    folder or an fsspec URL.

    Raises PrunescopeError if there is no attribution at `path`, or if its files are damaged.
    """
    address = os.fspath(path)
    with prunescope_errors():
        return Attribution(address if "://" in address else expanded(address))


@dataclass(frozen=True)
class Neuron:
    """One neuron over all texts, in the dense model and in every pruned one.

    `document` is the JSON document of the neuron's page: texts and their tokens, activations, words, and drops with
    their 95 % intervals.
    """

    document: NeuronDocument = field(repr=False)
    layer: int
    neuron: int
    score: float | None  # Eq. 1 of arXiv 2503.01542; None if the neuron is not ranked
    rank: int | None  # from 1, over all layers
    word: str | None  # own word: the influential word with the highest mean activation in the dense model
    drops: Mapping[str, float | None]  # by variant: 1 - pruned/dense of the mean activation on the own word

    @property
    def name(self) -> str:
        """The neuron's name, such as `L15/N2194`: layer and index, both from 0."""
        return self.document.name

    @property
    def changed_weights(self) -> Mapping[str, list[ChangedWeight]]:
        """Pruned variant -> the changed weights that moved the neuron's pre-activations most, with the neurons and
        attention heads that write most into their input dimensions (docs/attribution.md, Why it changed)."""
        return self.document.changed_weights

    @property
    def activations(self) -> dict[str, list[NDArray[np.float32]]]:
        """Variant (`dense`, `pruned-1`, ...) -> signed activations, one array [tokens] for each text."""
        return {
            variant.name: [np.asarray(values, np.float32) for values in variant.activations]
            for variant in self.document.variants
        }

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each token of each text: example, position, token_id, token, influential,
        special, and one column of signed activations for each variant. Raises ImportError without pandas."""
        variants = self.document.variants
        columns = ("example", "position", "token_id", "token", "influential", "special")
        rows = [
            {
                **dict(zip(columns, (example.index, position, *token), strict=True)),
                **{variant.name: variant.activations[place][position] for variant in variants},
            }
            for place, example in enumerate(self.document.examples)
            for position, token in enumerate(
                zip(example.token_ids, example.tokens, example.influential, example.special, strict=True)
            )
        ]
        return data_frame(rows, (*columns, *(variant.name for variant in variants)))

    def export(
        self,
        form: Literal["html", "svg", "png", "csv", "tex"] = "html",
        *,
        example: int | Literal["all"] | None = None,
        variant: str | None = None,
        activation: Literal["relu", "raw", "abs"] | None = None,
        scale: Literal["shared", "model", "neuron"] = "shared",
        curve: Literal["linear", "log", "gamma"] = "linear",
        window: Literal["full", "16"] = "full",
        token: int | None = None,
        span: str | None = None,
        prompt: Literal["shown", "folded"] = "shown",
        breaks: Literal["kept", "joined"] = "kept",
        theme: Literal["light", "dark"] = "light",
    ) -> bytes:
        """The same file as the export of the neuron's page: the heatmap dense | pruned | difference as HTML, SVG or
        PNG, its text as LaTeX, or its numbers as CSV. HTML and SVG refer to no other files.

        `example` is a text's index, or "all"; None is the text in which the neuron's own word lost most activation.
        `variant` is the pruned model, or "all" (None: the first; in CSV all). `activation` is the transform of the
        values (None: the attribution's own; in CSV raw). `scale` is "shared" for one colour scale, "model" for one per
        model, or "neuron" for one of all texts and models; `curve` maps values to shades: linear, log, or gamma (square
        root). `window` is "full" for the whole text, or "16" for 16 tokens on each side of `token`. `span` ("12-18")
        marks tokens, `prompt="folded"` leaves out what all texts begin and end with, `breaks="joined"` joins lines.
        Raises PrunescopeError for a value that does not exist, or if the image is too large.
        """
        chosen = default_view(self.document).example if example is None else example
        asked = FigureQuery(
            example=None if chosen == "all" else str(chosen),
            variant=variant,
            activation=activation,
            scale=scale,
            curve=curve,
            window=window,
            token=token,
            span=span,
            prompt=prompt,
            breaks=breaks,
            theme=theme,
        )
        with prunescope_errors():
            return neuron_file(self.document, form, asked).body

    def _repr_html_(self) -> str:
        shown = default_view(self.document).example
        text = next(example.text for example in self.document.examples if example.index == shown)
        lines = -(-len(text) // CHARACTERS_IN_A_LINE) + text.count("\n")
        return html_frame(self.export("html").decode(), FIXED_HEIGHT + LINE_HEIGHT * lines)


class Attribution:
    """An attribution: the neurons' activations on its texts, in a dense model and its pruned ones.

    `path`: its Zarr group. `label`: its name on pages. `provenance`: how it was made, in one line. `variants`: name of
    a variant (`dense`, `pruned-1`, ...) -> label of its model. `layers`: the recorded layers. `words`: the influential
    words. `spec`: the complete spec, as a document.
    """

    def __init__(self, path: str | Path, *, temporary: bool = False) -> None:
        """Open the group at `path`. `temporary`: its parent folder is deleted when this object is garbage-collected.
        Raises PrunescopeError if there is no attribution."""
        names = RecordNames(_NoRecords(), read_settings())
        self.path = path
        try:
            self._opened = OpenAttribution(Path(path).name, AttributionLocation(str(path), ""), names)
        except FileNotFoundError as error:
            raise PrunescopeError(f"{path}: there is no attribution") from error
        self.label = self._opened.label
        self.provenance = self._opened.provenance
        self.variants = {variant.name: variant.label for variant in self._opened.variants}
        self.spec: Mapping[str, Any] = self._opened.spec
        self.layers = tuple(self._opened.layers)
        self.words = tuple(self._opened.tables.words_list)
        if temporary:
            weakref.finalize(self, shutil.rmtree, Path(path).parent, ignore_errors=True)

    def neuron(self, layer: int, neuron: int) -> Neuron:
        """The neuron with this layer and index, both from 0. Raises PrunescopeError if it does not exist or was not
        recorded, or if its stored values are damaged."""
        with prunescope_errors():
            document = neuron_document(self._opened, layer, neuron)
        return Neuron(document, layer, neuron, document.score, document.rank, document.word, document.drops)

    def neurons(
        self,
        limit: int | None = 50,
        *,
        layer: int | None = None,
        word: str | None = None,
        sort: Literal["rank", "drop"] = "rank",
        variant: str | None = None,
    ) -> list[NeuronRow]:
        """The first `limit` ranked neurons (None: all), sorted by rank or by largest drop; only those of `layer`, and
        only those with the own word `word`, if given.

        `drop` and its 95 % interval `low` to `high` are those of `variant` (None: the first pruned model), on all
        texts, also those that gave the neuron its rank and word; `controls` has the drop of the top neurons on other
        texts. Raises PrunescopeError for an unknown layer or variant.
        """
        with prunescope_errors(NoSuchNeuron):
            self._opened.check_layer(layer)
            chosen = self._opened.variant(variant)
            most = self._opened.summary.ranked if limit is None else limit
            rows, _ = self._opened.tables.neurons(layer=layer, word=word, sort=sort, variant=chosen, limit=most)
        return rows

    def activations(self, layer: int, neurons: Sequence[int] | None = None) -> dict[str, NDArray[np.float32]]:
        """Variant -> signed activations [neurons, tokens] of a layer: of `neurons` in the given order, or of all its
        neurons if None. The tokens of all texts are concatenated; `spans` are the texts' slices. Raises PrunescopeError
        for a layer or neuron that does not exist or was not recorded."""
        store = self._opened.store
        with prunescope_errors(NoSuchNeuron):
            return store.layer(layer, range(store.neurons) if neurons is None else neurons)

    @property
    def spans(self) -> list[slice]:
        """The slice of each text along the token axis of `activations`."""
        return self._opened.store.spans

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores [layers, neurons]; NaN for a neuron that is not ranked."""
        return self._opened.store.score

    def controls(self, variant: str | None = None) -> Controls | None:
        """The comparison of the top neurons with their controls in a variant (None: the first pruned model), with the
        p-value that placebo words give (docs/attribution.md, Statistics). None if nothing was pruned. Raises
        PrunescopeError for an unknown variant."""
        with prunescope_errors():
            return self._opened.tables.controls(self._opened.variant(variant))

    def split(self, variant: str | None = None) -> VariantSplit | None:
        """The parts of a variant's changes (None: the first pruned model) by own weights and upstream: of the pooled
        drop of the top neurons, and of all changes of each layer. None if nothing was pruned or could be split. Raises
        PrunescopeError for an unknown variant."""
        with prunescope_errors():
            return self._opened.tables.split(self._opened.variant(variant))

    def to_pandas(
        self, limit: int | None = None, *, layer: int | None = None, word: str | None = None, variant: str | None = None
    ) -> "pandas.DataFrame":
        """A data frame of the first `limit` ranked neurons (None: all), by rank. The arguments are those of `neurons`.
        Raises ImportError without pandas."""
        found = self.neurons(limit, layer=layer, word=word, variant=variant)
        return data_frame([row.model_dump() for row in found], COLUMNS)

    def __repr__(self) -> str:
        return f"prunescope.open_attribution({str(self.path)!r})"

    def _repr_html_(self) -> str:
        columns = ("rank", "neuron", "Score", "word", "activation on it", "95 % interval", "p")
        rows = [
            (
                formats.count(row.rank),
                f"L{row.layer}/N{row.neuron}",
                formats.decimal(row.score),
                row.word or formats.NOTHING,
                formats.lost(row.drop),
                formats.NOTHING if row.low is None or row.high is None else formats.span(-row.high, -row.low),
                formats.NOTHING if row.p_value is None else formats.probability(row.p_value),
            )
            for row in self.neurons(MAX_SHOWN)
        ]
        return html_table(self.label, self.provenance, columns, rows, words=("neuron", "word"))


class _NoRecords(Results):
    """An empty list of records, for an attribution that is opened without a database. Names therefore come from the
    attribution's own documents."""

    def __init__(self) -> None:
        pass

    def ids(self, kind: str) -> set[str]:
        return set()

    def marks(self) -> dict[str, Any]:
        return {}

    def many(self, kind: str, names: Iterable[str]) -> dict[str, Record]:
        return {}
