"""The summary of an attribution's record: the data that lists show, so that they do not open the artefact."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.tables import AttributionTables

MAX_WORDS = 6
"""Maximum number of influential words of one attribution in a list."""


class ListedAttribution(BaseModel):
    """One attribution in a list, and the summary of its record.

    `models` and `labels` are the references and display names of `variants`, `examples` is the number of texts,
    `neurons` the number of neurons in one layer. `words` are influential words, sorted by pooled drop in the first
    pruned variant, largest first.
    """

    model_config = ConfigDict(frozen=True)

    variants: list[str]
    models: list[str]
    labels: list[str]
    examples: int
    recorded_layers: list[int]
    neurons: int
    words: list[str]

    @classmethod
    def read(cls, store: ActivationStore) -> Self:
        """The summary of an attribution, read from its artefact."""
        return cls(
            variants=store.variants,
            models=store.models,
            labels=store.labels,
            examples=len(store.examples),
            recorded_layers=store.tables["layers"],
            neurons=store.neurons,
            words=[row.word for row in AttributionTables(store).words()[:MAX_WORDS]],
        )

    @classmethod
    def of_record(cls, summary: Mapping[str, Any]) -> Self | None:
        """The summary of an attribution, read from its record; None if an earlier version wrote the record."""
        try:
            return cls.model_validate(summary)
        except ValidationError:
            return None
