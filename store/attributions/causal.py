"""The document of an attribution's causal stage: the effects on a task of ablating and of restoring the top neurons."""

from prunescope.store.attributions.documents import Document


class Estimate(Document):
    """A mean over the task's rows, or a difference of two means, with its 95 % bootstrap interval. `low` and `high` are
    None if all rows have the same value."""

    value: float
    low: float | None
    high: float | None


class Effect(Document):
    """One measure of the unchanged model (`base`), with the intervention on its top neurons (`top`), and with the same
    intervention on random neurons (`random`, the mean over draws).

    `excess` is `top_change` minus `random_change`. `draws` has the mean of each draw; `p_value` = (number of draws with
    at least the effect of the top neurons + 1) / (number of draws + 1).
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
    """The effects in one variant on the accuracy, and on the mean probability of the correct choice among all
    choices."""

    accuracy: Effect
    probability: Effect


class LayerShare(Document):
    """The number of top neurons in a layer, which is also the number of neurons of this layer in every random draw."""

    layer: int
    neurons: int


class CausalSetup(Document):
    """The task of the causal stage, and its numbers of neurons and of random draws."""

    task: str
    rows: int
    chance: float
    majority: float
    truncated: int  # rows whose prompt was truncated at the start
    neurons: int
    layers: list[LayerShare]
    draws: int
    seed: int
    alike: bool = False
    """Whether the random sets are drawn from all ranked neurons and are alike in size (`nsa.causal`), and neurons are
    ablated only at counted tokens. False in attributions of earlier versions, whose p-values are too small."""


class Causal(CausalSetup):
    """The results of the causal stage. In the dense variant the top neurons are ablated (replaced by their mean at the
    counted tokens); in pruned variants the dense weights of the top neurons are restored."""

    version: str  # of the task
    prompt_hash: str
    variants: dict[str, CausalVariant]
