"""An attribution read from its folder: its neurons as tables, arrays and figures. No torch, and no server.

Numbers, texts and figures are made by what makes them for the pages, from the same files.
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
from prunescope.errors import PrunescopeError, one_kind
from prunescope.jobs.paths import expanded
from prunescope.server.attributions.opened import OpenAttribution, Whereabouts
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.files import Asked, neuron_file
from prunescope.server.neurons.page import default_view
from prunescope.server.neurons.queries import neuron_document
from prunescope.server.record_names import RecordNames
from prunescope.server.site import formats
from prunescope.settings import read_settings
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.attributions.activations import NoSuchNeuron
from prunescope.store.attributions.documents import NeuronRow

if TYPE_CHECKING:
    import pandas

MAX_SHOWN = 10
"""Neurons in the table that an attribution shows of itself."""
COLUMNS = ("layer", "neuron", "rank", "score", "word", "drop", "low", "high", "p_value", "q_value", "lift")

CHARACTERS_IN_A_LINE = 36
"""Of a pane of the figure, where two stand side by side and the third below, as in most notebooks."""
LINE_HEIGHT, FIXED_HEIGHT = 54, 460
"""Pixels: of a line in both rows of panes, and of all that stands around the panes."""


def open_attribution(path: str | os.PathLike[str]) -> "Attribution":
    """The attribution in a folder that `prunescope.attribute`, the command or a job wrote, or at an fsspec address.

    Raises PrunescopeError: there is none, or its files are damaged.
    """
    address = os.fspath(path)
    with one_kind():
        return Attribution(address if "://" in address else expanded(address))


@dataclass(frozen=True)
class Neuron:
    """One neuron over all texts, in the dense model and every pruned one. `document` is the JSON document of its page:
    texts and their tokens, activations, words, drops with their intervals."""

    document: NeuronDocument = field(repr=False)
    layer: int
    neuron: int
    score: float | None  # Eq. 1 of arXiv 2503.01542; None: not ranked
    rank: int | None  # from 1, over all layers
    word: str | None  # the influential word with the highest mean activation in the dense model
    drops: Mapping[str, float | None]  # 1 - pruned / dense on that word, by variant

    @property
    def name(self) -> str:
        """`L15/N2194`."""
        return self.document.name

    @property
    def activations(self) -> dict[str, list[NDArray[np.float32]]]:
        """Signed activations by variant (`dense`, `pruned-1`, ...): an array [tokens] for each text."""
        return {
            variant.name: [np.asarray(values, np.float32) for values in variant.activations]
            for variant in self.document.variants
        }

    def to_pandas(self) -> "pandas.DataFrame":
        """One row for each token: example, position, token_id, token, influential, special, and each variant's signed
        activation. Raises ImportError without pandas."""
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
        form: Literal["html", "svg", "png", "csv"] = "html",
        *,
        example: int | Literal["all"] | None = None,
        variant: str | None = None,
        activation: Literal["relu", "raw", "abs"] | None = None,
        scale: Literal["shared", "model"] = "shared",
        curve: Literal["linear", "log"] = "linear",
        window: Literal["full", "16"] = "full",
        token: int | None = None,
        theme: Literal["light", "dark"] = "light",
    ) -> bytes:
        """The file that the neuron's page exports at the same settings: the heatmap dense | pruned | difference, or its
        numbers as CSV. HTML and SVG need nothing beside them.

        What is not given is the page's default. `example` is a text's index (None: the one whose loss on the neuron's
        word is seen best), `variant` the pruned model, `activation` how values are shown, `window` the whole text or 16
        tokens to each side of `token`. Raises PrunescopeError for a value that is not there, or too large a picture.
        """
        chosen = default_view(self.document).example if example is None else example
        asked = Asked(
            example=None if chosen == "all" else str(chosen),
            variant=variant,
            activation=activation,
            scale=scale,
            curve=curve,
            window=window,
            token=token,
            theme=theme,
        )
        with one_kind():
            return neuron_file(self.document, form, asked).body

    def _repr_html_(self) -> str:
        shown = default_view(self.document).example
        text = next(example.text for example in self.document.examples if example.index == shown)
        lines = -(-len(text) // CHARACTERS_IN_A_LINE) + text.count("\n")
        return html_frame(self.export("html").decode(), FIXED_HEIGHT + LINE_HEIGHT * lines)


class Attribution:
    """The texts of an attribution through a dense model and its pruned ones, neuron by neuron.

    `path` is its Zarr group; `label` and `provenance` say what it is and how it was made; `variants` are the models'
    labels by their names (`dense`, `pruned-1`, ...), `layers` the layers that were recorded, `words` the influential
    words, `spec` everything that was asked for.
    """

    def __init__(self, path: str | Path, *, temporary: bool = False) -> None:
        """`temporary`: the folder around the group is removed with this object. Raises PrunescopeError."""
        names = RecordNames(_NoRecords(), read_settings())
        self.path = path
        try:
            self._opened = OpenAttribution(Path(path).name, Whereabouts(str(path), ""), names)
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
        """One neuron, both counted from 0. Raises PrunescopeError when there is none, or its values are damaged."""
        with one_kind():
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
        """The ranked neurons, best Score or largest drop first: all of them (`limit=None`) or the first, of one layer,
        or of one word. `drop`, `low` and `high` are of `variant` (None: the first pruned one). Raises PrunescopeError.
        """
        with one_kind(NoSuchNeuron):
            self._opened.check_layer(layer)
            chosen = self._opened.variant(variant)
            most = self._opened.summary.ranked if limit is None else limit
            rows, _ = self._opened.tables.neurons(layer=layer, word=word, sort=sort, variant=chosen, limit=most)
        return rows

    def activations(self, layer: int, neurons: Sequence[int] | None = None) -> dict[str, NDArray[np.float32]]:
        """Signed activations [neurons, tokens] of a layer (all of its neurons, or these in the order given) by variant;
        the texts stand one after another along the tokens, see `spans`. Raises PrunescopeError."""
        store = self._opened.store
        with one_kind(NoSuchNeuron):
            return store.layer(layer, range(store.neurons) if neurons is None else neurons)

    @property
    def spans(self) -> list[slice]:
        """Where each text lies along the tokens of `activations`."""
        return self._opened.store.spans

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores [layers, neurons]; NaN where a neuron is not ranked."""
        return self._opened.store.score

    def to_pandas(
        self, limit: int | None = None, *, layer: int | None = None, word: str | None = None, variant: str | None = None
    ) -> "pandas.DataFrame":
        """The ranked neurons as `neurons` gives them, best first, by default all. Raises ImportError without pandas."""
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
    """The records of a folder that no job wrote: there are none, so names come from the attribution's own documents."""

    def __init__(self) -> None:
        pass

    def ids(self, kind: str) -> set[str]:
        return set()

    def marks(self) -> dict[str, Any]:
        return {}

    def many(self, kind: str, names: Iterable[str]) -> dict[str, Record]:
        return {}
