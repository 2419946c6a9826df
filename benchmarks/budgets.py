"""The performance budgets for pruning and attribution, and checks of measurements against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORWARD_PASSES = {"magnitude": 0.1, "wanda": 2.0, "ria": 2.0}
FASTER = {"cpu": 2.0, "cuda": 4.0}
SAME_MASKS = 0.9999
SECONDS = {"wanda": 20.0, "sparsegpt": 60.0}
SECONDS_SHAPE = "llama-2-7b"
RECORDING = 1.10
SCORING_SECONDS = 10.0
STATISTICS_SECONDS = 60.0
SCORED_NEURONS = 32 * 11008
DOCUMENT_MS = 25.0
PAGE_KILOBYTES = 150.0
MORE_MB = 8.0
"""Allowed growth of recording's peak memory with the number of texts: only measurement noise, since one batch is in
memory."""


@dataclass(frozen=True)
class Budget:
    """One budget: its limit, the measured median, and whether it was met."""

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
    """Check all budgets that apply to this run.

    `seconds` are median times of this project's methods, `ratios` the same divided by the forward pass; `compared` are
    the comparisons with other implementations, as in the results file. Masks must be equal in the first layer, whose
    inputs are equal. Later layers are not compared: a score that rounds to the other side of a threshold changes their
    inputs, and with random weights one such entry becomes thousands.
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


def drawn(size: Mapping[str, Any]) -> str:
    """The draws of an attribution's statistics, in words."""
    placebo, permutations = size["placebo"], size["permutations"]
    return f"{placebo} draws of placebo words" if placebo else f"{permutations} draws of tokens"


def statistics_seconds(seconds: Mapping[str, float]) -> float:
    """The time of Scores, controls and comparison, for the influential words and all draws."""
    return sum(seconds[step] for step in ("score", "controls", "compare"))


def attribution_checked(device: str, document: Mapping[str, Any]) -> list[Budget]:
    """Check the budgets of the parts that ran; those in seconds are for Llama-2-7B's neurons, and that for scoring
    alone is for a GPU."""
    budgets = []
    for name, found in document.get("recording", {}).items():
        times = found["ratios"]["recording"]["median"]
        budgets.append(
            Budget(f"{name}, recording, plain passes", f"<= {RECORDING:.2f}", f"{times:.3f}", times <= RECORDING)
        )
    if "store" in document:
        size, seconds = document["store"]["size"], document["store"]["seconds"]
        if size["layers"] * size["neurons"] >= SCORED_NEURONS:
            whole = statistics_seconds(seconds)
            limits = {f"scoring, controls and comparison with {drawn(size)}, s": (whole, STATISTICS_SECONDS)}
            if device == "cuda":
                limits[f"scoring with {drawn(size)}, s"] = (seconds["score"], SCORING_SECONDS)
            budgets += [
                Budget(what, f"<= {limit:g}", f"{taken:.1f}", taken <= limit) for what, (taken, limit) in limits.items()
            ]
    if "reading" in document:
        reading = document["reading"]
        for accept, found in reading["documents"].items():
            worst = found["p95_ms"]
            budgets.append(
                Budget(
                    f"a neuron's document at {reading['rate']:g}/s ({accept}), p95 ms",
                    f"<= {DOCUMENT_MS:g}",
                    f"{worst:.1f}",
                    worst <= DOCUMENT_MS,
                )
            )
        sent = reading["page"]["sent_with_files_kilobytes"]
        budgets.append(
            Budget("a neuron's page before Plotly, kB", f"<= {PAGE_KILOBYTES:g}", f"{sent:.0f}", sent <= PAGE_KILOBYTES)
        )
    if len(peaks := document.get("memory", [])) > 1:
        more = peaks[-1]["recording_mb"] - peaks[0]["recording_mb"]
        budgets.append(
            Budget(
                f"recording {peaks[-1]['texts']} texts beside {peaks[0]['texts']}, MB more",
                f"<= {MORE_MB:g}",
                f"{more:.1f}",
                more <= MORE_MB,
            )
        )
    return budgets
