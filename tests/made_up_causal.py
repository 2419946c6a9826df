"""What the tables hold of a causal stage that nobody ran: real differences of made-up outcomes."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from prunescope.nsa.effects import effect

ROWS, DRAWS = 200, 20


def outcomes(base: float, top: float, random: float, seed: int = 0) -> np.ndarray:
    """[2 + draws, 2, rows]: rows that are right or wrong at these rates, and how probable the right answer is."""
    rng = np.random.default_rng(seed)
    ease = rng.uniform(0, 1, ROWS)  # of a row, under all conditions
    rates = np.array([base, top, *rng.normal(random, 0.004, DRAWS)])
    right = (ease + rng.normal(0, 0.05, (2 + DRAWS, ROWS)) < rates[:, None]).astype(np.float32)
    probability = np.clip(rates[:, None] + 0.2 * (0.5 - ease), 0, 1).astype(np.float32)
    return np.stack([right, probability], axis=1)


def causal_table(found: Mapping[str, np.ndarray], **changes: Any) -> dict[str, Any]:
    """The document `causal` of the tables, for outcomes by variant, the dense one first."""
    dense = next(iter(found))
    return {
        "task": "reviews",
        "rows": ROWS,
        "chance": 0.5,
        "majority": 0.51,
        "truncated": 0,
        "version": "1.0",
        "prompt_hash": "ab" * 32,
        "neurons": 10,
        "layers": [{"layer": 0, "neurons": 4}, {"layer": 2, "neurons": 6}],
        "draws": DRAWS,
        "alike": True,
        "seed": 0,
        "variants": {
            name: {
                kind: asdict(effect(each[:, place], seed=0, lower=name == dense))
                for place, kind in enumerate(("accuracy", "probability"))
            }
            for name, each in found.items()
        },
        **changes,
    }
