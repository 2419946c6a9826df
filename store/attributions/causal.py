"""The document of an attribution's causal stage: what a task loses without the top neurons, what it gets back."""

from prunescope.store.attributions.documents import Document


class Estimate(Document):
    """A mean over the task's rows, or a difference of two, with its 95 % bootstrap interval; none where all rows say
    the same."""

    value: float
    low: float | None
    high: float | None


class Effect(Document):
    """One measure: of the model as it is (`base`), with its top neurons touched, with random ones (mean over draws).

    `excess` is the change by the top neurons less that by random ones. `draws` are the single draws' means, of which
    `p_value` = (those that did as much + 1) / (draws + 1).
    """

    base: Estimate
    top: Estimate
    random: Estimate
    top_change: Estimate
    random_change: Estimate
    excess: Estimate
    draws: list[float]
    p_value: float


class CausalVariant(Document):
    """One variant: the share of right rows, and the mean probability of the right choice among all choices."""

    accuracy: Effect
    probability: Effect


class LayerShare(Document):
    """How many of the top neurons are in a layer, and so how many others every draw has there."""

    layer: int
    neurons: int


class Causal(Document):
    """The dense variant: its top neurons held at their mean. Pruned ones: the top neurons' dense weights given back."""

    task: str
    rows: int
    chance: float
    majority: float
    truncated: int  # rows whose prompt lost its beginning
    version: str  # of the task
    prompt_hash: str
    neurons: int
    layers: list[LayerShare]
    draws: int
    seed: int
    variants: dict[str, CausalVariant]
