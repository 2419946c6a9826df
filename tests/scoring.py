"""Log-likelihoods in the order in which they are asked for, out of one pass."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from prunescope.evaluation.likelihood import score
from prunescope.lm.answers import Encoded
from prunescope.lm.passages import longest_branched, passages


def log_likelihoods(model: PreTrainedModel, encoded: Sequence[Encoded]) -> list[float]:
    """The summed log-probability of each answer's tokens."""
    rows = passages([item.inputs for item in encoded], longest_branched(model))
    found = score(model, rows, encoded)
    return [found[item] for item in range(len(encoded))]
