"""Log-likelihoods in the order in which they are asked for, out of one pass."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from evaluation.likelihood import Encoded, passages, score


def log_likelihoods(model: PreTrainedModel, encoded: Sequence[Encoded]) -> list[float]:
    """The summed log-probability of each answer's tokens."""
    found = score(model, passages(encoded), encoded)
    return [found[item] for item in range(len(encoded))]
