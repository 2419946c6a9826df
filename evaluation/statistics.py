"""Statistics of an accuracy: its confidence interval, and the accuracies of trivial answers."""

from collections import Counter
from collections.abc import Sequence


def wilson_interval(correct: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for the proportion `correct` / `rows` (rows > 0): (lower, upper)."""
    from scipy.stats import binomtest  # the import takes a second

    interval = binomtest(correct, rows).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def chance_accuracy(choice_counts: Sequence[int]) -> float:
    """The expected accuracy of random guessing, given each row's number of choices."""
    return sum(1 / count for count in choice_counts) / len(choice_counts)


def majority_accuracy(answers: Sequence[int]) -> float:
    """The accuracy of always giving the most frequent correct answer, given the index of each row's correct choice."""
    return Counter(answers).most_common(1)[0][1] / len(answers)
