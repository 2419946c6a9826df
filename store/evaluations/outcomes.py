"""A model's result on each row of a task or window of a text, for paired comparisons of two models: a hash of the rows
or windows, and

    Outcomes        whether each row of a task was answered correctly, one bit each, and of a task with fixed labels the
                    scores of the labels
    WindowLosses    the loss of each window of a text, a float each

40,430 rows take 5 KB in this form, and 320 KB with the scores of two labels; their examples take tens of megabytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prunescope.store.evaluations.labels import LabelScores, label_scores

EVALUATION_JSON = "evaluation.json"
"""The file of an evaluation's artefact that contains every example and the loss of every window."""

LONGEST_KEY = 64
"""Maximum length of a task's name in the database, in characters."""


@dataclass(frozen=True)
class Outcomes:
    """The results on the rows of a task: `correct` [rows], in the order of the rows' indices. `rows_hash` is the
    SHA-256 of index, prompt, choices and correct answer of every row. `labels`: scores and right labels of a task with
    fixed labels, in the same order."""

    rows_hash: str
    correct: NDArray[np.bool_]
    labels: LabelScores | None = None

    @property
    def packed(self) -> bytes:
        """`correct` as bytes, with eight rows in each byte."""
        return np.packbits(self.correct).tobytes()

    @property
    def packed_scores(self) -> bytes | None:
        """The scores as bytes: of each label but the first, its score minus that of the first, as little-endian float64
        [rows, labels - 1]. None without fixed labels."""
        if self.labels is None:
            return None
        scores = self.labels.scores
        return (scores[:, 1:] - scores[:, :1]).astype("<f8").tobytes()


@dataclass(frozen=True)
class WindowLosses:
    """The losses on the windows of a text: `nlls` [windows], the mean negative log-likelihood per token of each window,
    in nats. `rows_hash` is the SHA-256 of the windows' tokens."""

    rows_hash: str
    nlls: NDArray[np.float64]

    @property
    def packed(self) -> bytes:
        """`nlls` as bytes: little-endian float64."""
        return self.nlls.astype("<f8").tobytes()


Answered: TypeAlias = Outcomes | WindowLosses
"""The result on a task, or on a text on which perplexity was measured."""


def outcomes_of(document: Mapping[str, Any]) -> dict[str, Answered]:
    """Task -> outcomes and text -> losses of an `evaluation.json`. Tasks without examples and texts without losses of
    windows, which earlier versions did not write, are omitted."""
    tasks = {
        task: _outcomes(result["examples"])
        for task, result in document.get("tasks", {}).items()
        if "examples" in result
    }
    texts = {
        text_key(text): WindowLosses(result["sha256"], np.asarray(result["nlls"], np.float64))
        for text, result in document.get("perplexity", {}).items()
        if "nlls" in result
    }
    return {**tasks, **texts}


def text_key(text: str) -> str:
    """The name of a held-out text in the database. A name longer than LONGEST_KEY, such as a path, is replaced by a
    hash of the whole name and its end."""
    if len(text) <= LONGEST_KEY:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{mark}…{text[-(LONGEST_KEY - len(mark) - 1) :]}"


def unpacked(packed: bytes, rows: int) -> NDArray[np.bool_]:
    """`Outcomes.correct` of `rows` rows from its packed bytes."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=rows).astype(np.bool_)


def unpacked_scores(packed: bytes, rows: int) -> NDArray[np.float64]:
    """Scores [rows, labels] from `Outcomes.packed_scores`; those of the first label are 0."""
    others = np.frombuffer(packed, "<f8").reshape(rows, -1)
    return np.hstack([np.zeros((rows, 1)), others])


def unpacked_losses(packed: bytes) -> NDArray[np.float64]:
    """`WindowLosses.nlls` from its packed bytes."""
    return np.frombuffer(packed, "<f8").astype(np.float64)


def _outcomes(examples: Iterable[Mapping[str, Any]]) -> Outcomes:
    ordered = sorted(examples, key=lambda example: int(example["index"]))
    digest = hashlib.sha256()
    for example in ordered:
        asked = [example["index"], example["text"], example["choices"], example["answer"]]
        digest.update(json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    correct = np.asarray([example["chosen"] == example["answer"] for example in ordered], np.bool_)
    return Outcomes(digest.hexdigest(), correct, label_scores(ordered))
