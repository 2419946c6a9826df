"""The JSON documents of explanations: the list, and one explanation."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from prunescope.server.site.documents import Document, Link
from prunescope.store.explanations import documents as kept
from prunescope.store.explanations.summary import ListedExplanation


class ExplanationSummary(Document):
    """An explanation in a list."""

    id: str
    label: str  # "arc_easy, 200 rows · demo"
    source: str  # "arc_easy, 200 rows"
    dense: Link
    pruned: Link
    found: ListedExplanation | None  # None if the record was written by another version
    created_at: datetime | None = None
    href: str


class NeuronRow(kept.NeuronShare):
    """A neuron behind the loss. ``href`` is its page in the newest attribution of the same models, None without one."""

    href: str | None


class ShareMap(Document):
    """The neurons with the largest margin shares of each layer. Lists are indexed by layer, then by rank within the
    layer; ranks start at 1."""

    layers: list[int]
    ranks: list[int]
    shares: list[list[float]]
    neurons: list[list[int]]
    hrefs: list[list[str | None]]


class ExplanationDocument(kept.Explanation):
    """One explanation: what the artefact holds, with links."""

    id: str
    label: str
    source_label: str
    dense_model: Link
    pruned_model: Link
    neurons: Sequence[NeuronRow]
    share_map: ShareMap
    attribution: Link | None = Field(description="the newest attribution of the same models")
    spec: dict[str, object]
    provenance: str  # one line: models, rows, settings
    created_at: datetime | None
    job: Link | None
    neurons_href: str  # CSV files
    curves_href: str
    href: str
