"""How often each label is said, and how well the labels' log-probabilities tell the rows apart."""

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int


def said(scores: Float[np.ndarray, "rows labels"]) -> Float[np.ndarray, " labels"]:
    """The share of rows in which each label has the highest log-probability, the first of equal ones."""
    found: np.ndarray = np.bincount(scores.argmax(1), minlength=scores.shape[1]) / len(scores)
    return found


def auc(scores: Float[np.ndarray, "rows labels"], right: Int[np.ndarray, " rows"]) -> float | None:
    """The area under the ROC curve of the difference of two labels' log-probabilities, for telling the rows of one
    label from those of the other; the mean over all pairs of labels (Hand & Till, 2001). None if a label has no row.

    A shift of all rows towards one label leaves it unchanged, unlike accuracy. Equal differences count half.
    """
    values = []
    for one, other in combinations(range(scores.shape[1]), 2):
        difference = scores[:, one] - scores[:, other]
        above, below = difference[right == one], difference[right == other]
        if not len(above) or not len(below):
            return None
        wins = (above[:, None] > below).mean() + (above[:, None] == below).mean() / 2
        values.append(float(wins))
    return float(np.mean(values))
