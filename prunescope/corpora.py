"""The result of `corpus`: what every neuron of a model and of its variants does on running text. Needs neither torch
nor a server."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prunescope.display import data_frame, html_table
from prunescope.errors import PrunescopeError, prunescope_errors
from prunescope.jobs.paths import expanded
from prunescope.server.corpora.documents import CorpusExample, NeuronInModel
from prunescope.server.corpora.queries import SIGNS, neuron_in_models
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.store.corpora.documents import CORPUS_JSON, StoredCorpus
from prunescope.store.corpora.folder import CorpusStore

if TYPE_CHECKING:
    import pandas

COLUMNS = ("sign", "model", "window", "position", "before", "token", "after")
MAX_SHOWN = 10
"""Maximum number of examples of each sign in a notebook."""


def open_corpus(path: str | os.PathLike[str]) -> "Corpus":
    """Open the folder of a corpus that `prunescope.corpus`, the command `prunescope corpus` or a job wrote.

    Raises PrunescopeError if there is no corpus at `path`, or if its files are damaged.
    """
    with prunescope_errors():
        folder = expanded(os.fspath(path))
        try:
            contents = (folder / CORPUS_JSON).read_bytes()
        except OSError as error:
            raise PrunescopeError(f"{folder} holds no corpus: it has no {CORPUS_JSON} that can be read") from error
        return Corpus(CorpusStore(folder, contents), folder)


@dataclass(frozen=True)
class NeuronOnText:
    """What one neuron does on running text, in the dense model (first) and in its variants.

    Of each model, `models` has the distribution of the neuron's activations, its extreme examples in context, and the
    tokens that it writes. The examples of the dense model carry the activations of all models.
    """

    name: str  # L15/N2194
    models: list[NeuronInModel] = field(repr=False)

    @property
    def highest(self) -> list[CorpusExample]:
        """The dense model's highest activations in context."""
        return self.models[0].highest

    @property
    def lowest(self) -> list[CorpusExample]:
        """The dense model's lowest activations in context."""
        return self.models[0].lowest

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame with one row for each example of the dense model, highest before lowest, and one column of
        activations for each model. Raises ImportError without pandas."""
        dense = self.models[0]
        rows = [
            {
                "sign": sign,
                "model": dense.model.label,
                **{name: getattr(example, name) for name in COLUMNS[2:]},
                **{at.model: at.activation for at in example.activations},
            }
            for sign in SIGNS
            for example in getattr(dense, sign)
        ]
        return data_frame(rows, (*COLUMNS, *(model.model.label for model in self.models)))

    def _repr_html_(self) -> str:
        dense = self.models[0]
        written = "".join(f" {token.token!r}" for token in dense.up[:MAX_SHOWN])
        note = (
            f"positive on {formats.percent(dense.density, 1)} of the tokens"
            f"{f'; raises the logits of{written}' if written else ''}"
        )
        rows = [
            (
                example.before,
                example.token,
                example.after,
                *(formats.activation(at.activation) for at in example.activations),
            )
            for sign in SIGNS
            for example in getattr(dense, sign)[:MAX_SHOWN]
        ]
        columns = ("before", "token", "after", *(model.model.label for model in self.models))
        return html_table(self.name, note, columns, rows, words=("token", "after"))


@dataclass(frozen=True)
class Corpus:
    """Running text that was read with a dense model and its variants. `folder` holds the artefact."""

    _store: CorpusStore = field(repr=False)
    folder: Path

    @property
    def document(self) -> StoredCorpus:
        """What was read, and how: models, text, tokens, windows (docs/corpus.md)."""
        return self._store.document

    def neuron(self, layer: int, neuron: int) -> NeuronOnText:
        """One neuron. Raises PrunescopeError for a neuron that was not recorded, or if files are damaged."""
        links = [(number, Link(label=label, href="")) for number, label in enumerate(self.document.labels)]
        with prunescope_errors():
            return NeuronOnText(f"L{layer}/N{neuron}", neuron_in_models(self._store, layer, neuron, links))

    def _repr_html_(self) -> str:
        document = self.document
        layers = f"{len(document.layers)} layers of {document.neurons:,} neurons"
        note = f"{document.tokens:,} tokens of {document.dataset} in {document.windows:,} windows; {layers}"
        return html_table("Corpus", note, ("model",), [(label,) for label in document.labels], words=("model",))
