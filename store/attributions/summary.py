"""What a list shows of an attribution: its record's summary, so that lists open no artefact."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.tables import AttributionTables

MAX_WORDS = 6
"""Influential words of one attribution in a list."""


class ListedAttribution(BaseModel):
    """One line of a list, and the summary of an attribution's record.

    `models` and `labels` are those of `variants`, `neurons` counts those of one layer; `words` are influential words,
    the most damaged by the first pruned variant first.
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
        """Read it out of an artefact."""
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
        """Read it out of a record's summary; None where an earlier version kept the record."""
        try:
            return cls.model_validate(summary)
        except ValidationError:
            return None
