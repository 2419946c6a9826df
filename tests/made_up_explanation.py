"""An explanation that nobody ran: made-up shares and curves in the store's true form."""

from pathlib import Path
from typing import Any

import numpy as np

from prunescope.store.explanations.documents import RANKINGS, Explanation
from prunescope.store.explanations.folder import HEAD_MEASURES, MEASURES, write_explanation

BEST = {"margin": 0.5, "change": 0.38, "activation": 0.4, "score": 0.03, "drop": 0.1, "random": 0.08}
"""What a hundredth of the neurons restores by each ranking; all of them restore 0.71."""
WHOLE = 0.71


def made_up_explanation(
    dense: str = "demo",
    pruned: str = "pruned:0123456789abcdef",
    *,
    size: tuple[int, int, int] = (3, 40, 4),
    task: str | None = "reviews",
    **changes: Any,
) -> dict[str, Any]:
    """The document `explanation.json`; ``size`` are its layers, and the neurons and heads of each; ``changes``
    replace fields. Without a task it is about a text."""
    layers, neurons, heads = size
    rng = np.random.default_rng(0)
    total = layers * neurons
    counts = [count for count in (1, 3, 10, 30, 100, 500) if count < total] + [total]
    of_task = task is not None
    shares = _shares(layers, neurons)
    order = np.argsort(-shares["margin_share"].ravel(), kind="stable")
    answers = {
        "labels": ["positive", "negative"],
        "fallen": "negative",
        "right": {"positive": 0.5, "negative": 0.5},
        "said": {
            "dense": {"positive": 0.55, "negative": 0.45},
            "pruned": {"positive": 0.9, "negative": 0.1},
            "patched": {"positive": 0.6, "negative": 0.4},
        },
        "auc": {"dense": 0.9, "pruned": 0.8, "patched": 0.88},
        "prior": 0.6,
        "content": 0.2,
    }
    document: dict[str, Any] = {
        "format": 1,
        "dense": dense,
        "pruned": pruned,
        "labels": [dense, pruned],
        "source": {"task": task, "perplexity": None if of_task else "wikitext2"},
        "measure": "margin" if of_task else "loss",
        "ranked_by": "margin",
        "sinks": False,
        "shape": [layers, neurons],
        "rows": {
            "rows": 100,
            "broken": 24 if of_task else 0,
            "mended": 3 if of_task else 0,
            "fell": 70,
            "halves": [50, 50],
            "training": 100,
            "ranked": 12,
            "held_out": 100,
            "held_out_broken": 12 if of_task else 0,
            "measured": 12 if of_task else 40,
            "measured_are": "broken" if of_task else "fell",
            "truncated": 0,
            "left_out": [],
        },
        "margins": {"dense": 1.2, "pruned": -0.8, "lost": 2.0},
        "accuracy": {"dense": 0.9, "pruned": 0.7, "patched": 0.84} if of_task else None,
        "all": {
            "neurons": _restored(WHOLE, of_task),
            "heads": _restored(0.42, of_task) if heads else None,
            "both": _restored(0.97, of_task) if heads else None,
        },
        "accounting": {
            "steps": 8,
            "neurons": 0.74,
            "heads": 0.4 if heads else None,
            "both": 0.99 if heads else None,
        },
        "curves": {name: [_point(name, k, total, of_task) for k in counts] for name in RANKINGS},
        "reverse": {
            "all": {"lost": 0.8, "low": 0.7, "high": 0.9},
            "margin": [{"k": k, "lost": 0.6 * (k / total) ** 0.5, "low": 0.0, "high": 0.8} for k in counts[:-1]],
            "random": [{"k": k, "lost": 0.1 * (k / total), "low": 0.0, "high": 0.1} for k in counts[:-1]],
        },
        "answers": answers if of_task else None,
        "neurons": [_neuron(int(place), rank, neurons, shares, of_task) for rank, place in enumerate(order[:50], 1)],
        "heads": [
            {
                "layer": place % layers,
                "head": place % heads,
                "name": f"L{place % layers}/H{place % heads}",
                "share": 0.2 / (1 + place),
                "integrated": 0.1 / (1 + place),
            }
            for place in range(min(8, layers * heads))
        ],
        "layers": [
            {
                "layer": layer,
                "share": float(shares["margin_share"][layer].sum()),
                "integrated": float(shares["integrated_share"][layer].sum()),
                "heads": float(rng.uniform(0, 0.2)) if heads else None,
            }
            for layer in range(layers)
        ],
        "notes": [],
        "device": "cpu",
        "dtype": "float32",
        "versions": {"prunescope": "0.1.0", "numerics": "3"},
        "seconds": 62.0,
    }
    return {**document, **changes}


def write_made_up_explanation(folder: Path, document: dict[str, Any], heads: int = 4) -> Explanation:
    """Write the artefact of a document to an existing folder."""
    made = Explanation.model_validate(document)
    layers, neurons = made.shape
    of_heads = np.random.default_rng(1).normal(0, 0.1, (layers, heads)).astype(np.float32)
    write_explanation(folder, made, _shares(layers, neurons), dict.fromkeys(HEAD_MEASURES, of_heads))
    return made


def _shares(layers: int, neurons: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    share = (rng.exponential(1.0, (layers, neurons)) ** 3 * rng.choice([-0.4, 1.0], (layers, neurons))).astype(
        np.float32
    )
    share *= 1.6 / share.sum()
    rank = np.empty(share.size, np.float32)
    rank[np.argsort(-share.ravel(), kind="stable")] = np.arange(1, share.size + 1)
    parts = {
        "margin_share": share,
        "integrated_share": share / 2,
        "prior_share": 0.75 * share,
        "content_share": 0.25 * share,
        "change": np.abs(share) * 10,
        "rank": rank.reshape(share.shape),
    }
    return {name: parts[name].astype(np.float32) for name in MEASURES}


def _neuron(place: int, rank: int, neurons: int, shares: dict[str, np.ndarray], split: bool) -> dict[str, Any]:
    layer, neuron = divmod(place, neurons)
    value = {name: float(array[layer, neuron]) for name, array in shares.items()}
    words = [("badly", 0.4, 0.1), ("<b>bland</b>", 0.3, 0.35), ("chair", 0.2, 0.19)]
    return {
        "layer": layer,
        "neuron": neuron,
        "name": f"L{layer}/N{neuron}",
        "rank": rank,
        "share": value["margin_share"],
        "integrated": value["integrated_share"],
        "prior": value["prior_share"] if split else None,
        "content": value["content_share"] if split else None,
        "change": value["change"],
        "words": [{"word": word, "dense": dense, "pruned": pruned} for word, dense, pruned in words],
    }


def _restored(value: float, of_task: bool) -> dict[str, Any]:
    return {
        "restored": value,
        "low": value - 0.15,
        "high": value + 0.15,
        "right_again": round(12 * value) if of_task else None,
        "newly_wrong": 1 if of_task else None,
    }


def _point(ranking: str, k: int, total: int, of_task: bool) -> dict[str, Any]:
    """On a curve that rises from nothing to what all neurons restore."""
    part = k / total
    value = WHOLE * part ** (np.log(BEST[ranking] / WHOLE) / np.log(0.01))
    return {"k": k, **_restored(float(value), of_task)}
