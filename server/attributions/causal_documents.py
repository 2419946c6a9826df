"""Whether the top neurons of an attribution matter for a task."""

from typing import Literal

from prunescope.server.site.documents import Document
from prunescope.store.attributions.causal import Effect, LayerShare


class CausalRow(Document):
    """One variant. Ablation: the top neurons of the dense model are held at their mean activation; restoration: those
    of a pruned one have the dense model's weights. Changes are against the same variant as it is."""

    name: str  # "dense", "pruned-1"
    label: str
    intervention: Literal["ablation", "restoration"]
    accuracy: Effect
    probability: Effect  # of the right choice among all of a row's


class CausalDocument(Document):
    """Top neurons against ``draws`` times as many other ranked ones of the same layers, on the same rows of a task."""

    task: str
    rows: int  # without those that the neurons were chosen on
    chance: float
    majority: float
    truncated: int
    neurons: int
    layers: list[LayerShare]
    draws: int
    seed: int
    variants: list[CausalRow]
