"""The document of a corpus, `corpus.json`, and the summary of its record, which lists show."""

from typing import Any, Self

from prunescope.store.attributions.documents import Document

CORPUS_JSON = "corpus.json"
FORMAT = 1
"""Version of the layout of a corpus's files."""


class ListedCorpus(Document):
    """One corpus in a list, and the summary of its record. `models`: references, the dense model first, with their
    `labels`. `tokens`: the number of counted tokens that were read."""

    dataset: str
    models: list[str]
    labels: list[str]
    tokens: int
    windows: int
    layers: list[int]
    neurons: int
    writes: bool

    @classmethod
    def read(cls, document: "StoredCorpus") -> Self:
        """The summary of a corpus's document."""
        return cls.model_validate({name: getattr(document, name) for name in cls.model_fields})


class StoredCorpus(ListedCorpus):
    """What was read, and how. `asked`: the tokens that were asked for; `sampled`: how many of the tokens the quantiles
    come from; `texts`: how many texts were read, in part or whole; `seqlen`: maximum tokens of a window; `bos`: whether
    every window begins with BOS; `sha256`: the hash of the windows, which is equal for equal windows; `sink_tokens`:
    how many attention sinks beside position 0 were left out, None if they are counted."""

    format: int
    asked: int
    sampled: int
    texts: int
    seqlen: int
    bos: bool
    sha256: str
    sink_tokens: int | None = None
    examples: int
    seed: int
    environment: dict[str, Any]
    seconds: float
