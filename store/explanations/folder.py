"""The files of an explanation's artefact. The server reads one neuron of it without opening the rest.

    explanation.json    the document (documents.py)
    shares.npy          float32 [MEASURES, layers, neurons]
    heads.npy           float32 [HEAD_MEASURES, layers, heads]; no heads if they were not measured

Undefined shares are NaN: `prior` and `content` of a task without fixed labels.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.problems import bad_field
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.manifest import verify
from prunescope.store.explanations.documents import FORMAT, Explanation

EXPLANATION_JSON = "explanation.json"
SHARES, HEADS = "shares.npy", "heads.npy"
MEASURES = ("margin_share", "integrated_share", "prior_share", "content_share", "change", "rank")
"""First axis of `shares.npy`. `rank` is from 1, by the ranking `margin`."""
HEAD_MEASURES = ("head_share", "integrated_share")


def write_explanation(
    folder: Path,
    document: Explanation,
    shares: Mapping[str, NDArray[np.float32]],
    heads: Mapping[str, NDArray[np.float32]],
) -> None:
    """Write an explanation to an existing folder. `shares` has [layers, neurons] for every name in MEASURES, `heads`
    [layers, heads] for every name in HEAD_MEASURES."""
    np.save(folder / SHARES, np.stack([shares[name] for name in MEASURES]).astype(np.float32))
    np.save(folder / HEADS, np.stack([heads[name] for name in HEAD_MEASURES]).astype(np.float32))
    text = json.dumps(document.model_dump(mode="json"), ensure_ascii=False, allow_nan=False, indent=1)
    (folder / EXPLANATION_JSON).write_text(text + "\n", encoding="utf-8")


def read_document(contents: bytes) -> Explanation:
    """The document from the contents of `explanation.json`. Raises ValueError for an unknown format or a malformed
    document."""
    found = json.loads(contents)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{EXPLANATION_JSON} has another format than {FORMAT}")
    return Explanation.model_validate(found)


class ExplanationStore:
    """Reads one explanation. Raises Problem 404 if there is none with this id, Damaged if a file was changed (of a
    memory-mapped array only the size is compared)."""

    def __init__(self, artefacts: Artefacts, id: str) -> None:
        self._artefacts, self._id = artefacts, id

    def document(self) -> Explanation:
        """The document. Raises ValueError as `read_document` does."""
        return read_document(self._artefacts.read("explanation", self._id, EXPLANATION_JSON))

    def shares(self) -> dict[str, NDArray[np.float32]]:
        """Name in MEASURES -> [layers, neurons]. In a local folder the arrays are memory-mapped, so only what is used
        is read."""
        return dict(zip(MEASURES, self._array(SHARES), strict=True))

    def heads(self) -> dict[str, NDArray[np.float32]]:
        """Name in HEAD_MEASURES -> [layers, heads]."""
        return dict(zip(HEAD_MEASURES, self._array(HEADS), strict=True))

    def neuron(self, layer: int, neuron: int) -> dict[str, float | None]:
        """Name in MEASURES -> value of one neuron, None if undefined. Raises Problem 422 for a neuron that the model
        does not have."""
        found = self._array(SHARES)
        for field, index, count in (("layer", layer, found.shape[1]), ("neuron", neuron, found.shape[2])):
            if not 0 <= index < count:
                raise bad_field(field, index, f"0 to {count - 1}", f"this model has {count} of them, counted from 0")
        values = found[:, layer, neuron]
        return {name: None if np.isnan(value) else float(value) for name, value in zip(MEASURES, values, strict=True)}

    def _array(self, name: str) -> NDArray[np.float32]:
        folder = self._artefacts.local_path("explanation", self._id)
        if folder is not None and (folder / name).is_file():
            verify(folder, [name], contents=lambda _: False)  # its size only, because hashing would read all of it
            mapped: NDArray[np.float32] = np.load(folder / name, mmap_mode="r", allow_pickle=False)
            return mapped
        loaded: NDArray[np.float32] = np.load(
            io.BytesIO(self._artefacts.read("explanation", self._id, name)), allow_pickle=False
        )
        return loaded
