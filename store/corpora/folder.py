"""Reads a corpus's artefact. The server reads one neuron of it without opening the rest.

    corpus.json                     the document (documents.py)
    model-<n>.npy                   a record for each neuron (neurons.py); model 0 is the dense one
    windows.jsonl, windows.npy      the windows' tokens (lines.py): {"text", "ids", "tokens", "special"}
    vocabulary.jsonl, .npy          the display text of each token id; only with `writes`

A remote artefact is copied to the server's cache when it is first read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from prunescope.jobs.problems import Problem
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.corpora.documents import CORPUS_JSON, FORMAT, StoredCorpus
from prunescope.store.corpora.lines import Lines
from prunescope.store.corpora.neurons import read_record

WINDOWS, VOCABULARY = "windows", "vocabulary"


@dataclass(frozen=True)
class StoredWindow:
    """One window: the number of its text, its tokens for display, and whether each is a special token."""

    text: int
    tokens: list[str]
    special: list[bool]


class CorpusStore:
    """Reads one corpus, whose files are in `folder` and whose document is `contents`. Raises Damaged if a file was
    changed."""

    def __init__(self, folder: Path, contents: bytes) -> None:
        self._folder = folder
        try:
            found = json.loads(contents)
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}")
            self.document = StoredCorpus.model_validate(found)
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(self._folder, CORPUS_JSON, f"is not of format {FORMAT}") from error

    @classmethod
    def of(cls, artefacts: Artefacts, id: str) -> Self:
        """Open an artefact. Raises Problem 404 if there is none with this id."""
        contents = artefacts.read("corpus", id, CORPUS_JSON)
        return cls(artefacts.fetch("corpus", id), contents)

    def neuron(self, model: int, layer: int, neuron: int) -> np.void:
        """The record of a neuron (`neurons.record_type`). Raises Problem 404 for a neuron that was not recorded."""
        layers = self.document.layers
        if layer not in layers or not 0 <= neuron < self.document.neurons:
            raise Problem(
                404,
                "not-found",
                "No such neuron",
                f"L{layer}/N{neuron} was not recorded; this corpus has layers {_listed(layers)} with neurons 0 to "
                f"{self.document.neurons - 1}",
            )
        return read_record(self._folder, model, layers.index(layer), neuron)

    def windows(self, numbers: set[int]) -> dict[int, StoredWindow]:
        """Number -> window, of those that exist."""
        found: dict[int, dict[str, Any]] = Lines(self._folder, WINDOWS).read(numbers)
        return {
            number: StoredWindow(value["text"], value["tokens"], value["special"]) for number, value in found.items()
        }

    def token_texts(self, ids: set[int]) -> dict[int, str]:
        """Token id -> its display text; empty for a corpus without `writes`."""
        return Lines(self._folder, VOCABULARY).read(ids) if self.document.writes else {}


def _listed(layers: list[int]) -> str:
    whole = layers == list(range(layers[0], layers[-1] + 1))
    return f"{layers[0]} to {layers[-1]}" if whole and len(layers) > 2 else ", ".join(map(str, layers))
