"""Ranks and words out of an attribution's arrays, and the document of tables that pages read."""

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from nsa import comparison
from nsa.preparation import Options, Prepared

MOST_MATCHED = 100  # top neurons that the controls speak of
PER_WORD = 20  # top neurons of one word whose pooled drop is the word's


def ranks_of(score: Float[np.ndarray, "layers neurons"]) -> np.ndarray:
    """1 for the highest Score of all, ties by place; 0 where it is NaN."""
    order = np.argsort(-score.ravel(), kind="stable")[: int(np.isfinite(score).sum())]
    ranks = np.zeros(score.size, dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks.reshape(score.shape)


def matched_count(ranks: np.ndarray) -> int:
    """How many top neurons count as matched: 5 % of the ranked, at least 10, at most MOST_MATCHED."""
    ranked = int(ranks.max(initial=0))
    return min(MOST_MATCHED, max(10, ranked // 20), ranked)


def word_damage(word: int, arrays: dict[str, np.ndarray], fallen: np.ndarray, seed: int) -> dict[str, Any]:
    """The pooled drop of the best PER_WORD ranked neurons of one word."""
    places = np.flatnonzero(((arrays["word"] == word) & (arrays["rank"] > 0)).ravel())
    best = places[np.argsort(arrays["rank"].ravel()[places])][:PER_WORD]
    pairs = np.stack([arrays["best"].ravel()[best], fallen.ravel()[best]], axis=1).astype(np.float64)
    interval = comparison.pooled_drop(pairs, seed)
    return {
        "neurons": interval.neurons,
        "activation": float(pairs[:, 0].mean()) if len(pairs) else None,
        "drop": interval.value,
        "low": interval.low,
        "high": interval.high,
    }


def tables_document(
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    comparisons: dict[str, Any],
) -> dict[str, Any]:
    """The document of tables, as store/attribution_tables.py reads it."""
    positions = prepared.positions
    ranked = int((arrays["rank"] > 0).sum())
    neurons = len(prepared.layers) * arrays["rank"].shape[1]
    matches = [(example.index, match) for example in prepared.examples for match in example.words]
    return {
        "layers": prepared.layers,
        "words": [
            {
                "word": word,
                "texts": len({index for index, match in matches if match.word.lower() == word}),
                "occurrences": sum(match.occurrences for _, match in matches if match.word.lower() == word),
                "tokens": len(places),
            }
            for word, places in positions.words.items()
        ],
        "comparisons": comparisons,
        "summary": {
            "activation": options.activation,
            "source": options.source,
            "layers": prepared.layers,
            "permutations": options.permutations,
            "texts": len(prepared.examples),
            "tokens": len(positions.text),
            "counted_tokens": int(positions.counted.sum()),
            "influential_tokens": int((positions.influential & positions.counted).sum()),
            "neurons": neurons,
            "ranked": ranked,
            "unranked": neurons - ranked,
            "matched": matched_count(arrays["rank"]),
            "dropped": [
                {"text": index, "word": word} for index, found in prepared.found.items() for word in found.dropped
            ],
            "left_out": [asdict(text) for text in prepared.left_out],
            "answers": [
                {"text": index, "answer": found.answer}
                for index, found in prepared.found.items()
                if found.answer is not None
            ],
        },
    }
