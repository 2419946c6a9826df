"""What a model answered, row by row, so that two models' can be laid side by side: a hash of what was asked beside

    Outcomes        which rows of a task were right, a bit each
    WindowLosses    the loss of each window of a text, a float each

40,430 rows are 5 KB this way, where their examples are tens of megabytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

EVALUATION_JSON = "evaluation.json"
"""The file of an evaluation's artefact that holds every example and every window's loss."""

LONGEST_KEY = 64
"""Characters of a task's name in the database."""


@dataclass(frozen=True)
class Outcomes:
    """`correct` [rows] in the order of the rows' indices; `rows_hash` (SHA-256) stands for what was asked: index,
    prompt, choices and right answer of every row."""

    rows_hash: str
    correct: NDArray[np.bool_]

    @property
    def packed(self) -> bytes:
        """The bits of `correct`, eight to a byte."""
        return np.packbits(self.correct).tobytes()


@dataclass(frozen=True)
class WindowLosses:
    """`nlls` [windows]: the mean negative log-likelihood of each window's tokens, in nats; `rows_hash` (SHA-256) stands
    for the windows' tokens."""

    rows_hash: str
    nlls: NDArray[np.float64]

    @property
    def packed(self) -> bytes:
        """`nlls`, eight bytes each."""
        return self.nlls.astype("<f8").tobytes()


Answered: TypeAlias = Outcomes | WindowLosses
"""What is kept of a task, or of a text that perplexity was measured on."""


def outcomes_of(document: Mapping[str, Any]) -> dict[str, Answered]:
    """The outcomes of every task of an `evaluation.json`, and the windows' losses of every text. Texts without losses,
    which earlier versions did not write, are left out, and tasks without examples."""
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
    """What a text that perplexity was measured on is called in tables: its name, or of a path too long for a column its
    end, with a hash of the whole before it."""
    if len(text) <= LONGEST_KEY:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{mark}…{text[-(LONGEST_KEY - len(mark) - 1) :]}"


def unpacked(packed: bytes, rows: int) -> NDArray[np.bool_]:
    """`Outcomes.correct` out of its bits."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=rows).astype(np.bool_)


def unpacked_losses(packed: bytes) -> NDArray[np.float64]:
    """`WindowLosses.nlls` out of its bytes."""
    return np.frombuffer(packed, "<f8").astype(np.float64)


def _outcomes(examples: Iterable[Mapping[str, Any]]) -> Outcomes:
    ordered = sorted(examples, key=lambda example: int(example["index"]))
    digest = hashlib.sha256()
    for example in ordered:
        asked = [example["index"], example["text"], example["choices"], example["answer"]]
        digest.update(json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    correct = np.asarray([example["chosen"] == example["answer"] for example in ordered], np.bool_)
    return Outcomes(digest.hexdigest(), correct)
