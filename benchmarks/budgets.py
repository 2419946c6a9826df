"""The budgets for pruning, checked against what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORWARD_PASSES = {"magnitude": 0.1, "wanda": 2.0, "ria": 2.0}
FASTER = {"cpu": 2.0, "cuda": 4.0}
SAME_MASKS = 0.9999
SECONDS = {"wanda": 20.0, "sparsegpt": 60.0}
SECONDS_SHAPE = "llama-2-7b"


@dataclass(frozen=True)
class Budget:
    """One budget: what was allowed, what was measured (at the median), and whether it was met."""

    what: str
    limit: str
    measured: str
    met: bool


def checked(
    shape: str,
    device: str,
    ratios: Mapping[str, float],
    seconds: Mapping[str, float],
    compared: Sequence[Mapping[str, Any]],
) -> list[Budget]:
    """All budgets that apply to this run.

    `ratios` and `seconds`: medians of the methods here, the former against the forward pass; `compared`: how they stand
    beside the others, as the results have it. Masks are to be the same in the first layer, whose inputs are the same: a
    score that is rounded to the other side of a threshold there changes what later layers see, and with random weights
    one such entry becomes thousands.
    """
    budgets = []
    for name, ratio in ratios.items():
        limit = FORWARD_PASSES.get(name.split()[0])
        if limit is not None and "reallocation" not in name:
            budgets.append(Budget(f"{name}, forward passes", f"<= {limit:g}", f"{ratio:.3g}", ratio <= limit))
    for one in compared:
        longer, equal = one["times_longer"]["median"], one["masks_equal_first_layer"]
        if one["ours"].startswith("sparsegpt"):
            least = FASTER[device]
            budgets.append(Budget(f"{one['other']}, times longer", f">= {least:g}", f"{longer:.2f}", longer >= least))
        what = f"{one['other']}, same masks in the first layer"
        budgets.append(Budget(what, f">= {SAME_MASKS:.2%}", f"{equal:.4%}", equal >= SAME_MASKS))
    if shape == SECONDS_SHAPE and device == "cuda":
        for name, taken in seconds.items():
            most = SECONDS.get(name.split()[0])
            if most is not None:
                budgets.append(
                    Budget(f"{name}, seconds of the whole walk", f"<= {most:g}", f"{taken:.1f}", taken <= most)
                )
    return budgets
