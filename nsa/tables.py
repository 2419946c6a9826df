"""Ranks and words out of an attribution's arrays, and the document of tables that pages read."""

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from prunescope.nsa.examples import LeftOut
from prunescope.nsa.preparation import Options, Prepared
from prunescope.nsa.spelling import WordMatch
from prunescope.nsa.texts import start_of
from prunescope.text.words import fold

FORMAT = 2  # of what is kept; store/attributions/activations.py reads 1, which had fewer arrays, and 2
MAX_MATCHED = 100  # top neurons that the controls speak of
MATCHED_IN_LAYER = 20  # top neurons of a layer that its own controls speak of


def ranks_of(score: Float[np.ndarray, "layers neurons"]) -> np.ndarray:
    """1 for the highest Score of all, ties by place; 0 where it is NaN."""
    order = np.argsort(-score.ravel(), kind="stable")[: int(np.isfinite(score).sum())]
    ranks = np.zeros(score.size, dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks.reshape(score.shape)


def matched_count(ranks: np.ndarray) -> int:
    """How many top neurons count as matched: 5 % of the ranked, at least 10, at most MAX_MATCHED."""
    ranked = int(ranks.max(initial=0))
    return min(MAX_MATCHED, max(10, ranked // 20), ranked)


def top_of_layer(ranks: Int[np.ndarray, " neurons"], known: Bool[np.ndarray, " neurons"]) -> np.ndarray:
    """The top neurons of one layer, those that are `known`, best first."""
    places = np.flatnonzero(known)
    top: np.ndarray = places[np.argsort(ranks[places], kind="stable")][:MATCHED_IN_LAYER]
    return top


def tables_document(
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    comparisons: dict[str, Any],
) -> dict[str, Any]:
    """The document of tables, as store/attributions/tables.py reads it."""
    positions = prepared.positions
    ranked = int((arrays["rank"] > 0).sum())
    neurons = len(prepared.layers) * arrays["rank"].shape[1]
    matches: dict[str, list[tuple[int, WordMatch]]] = {}
    for example in prepared.examples:
        for match in example.words:
            matches.setdefault(fold(match.word), []).append((example.index, match))
    return {
        "format": FORMAT,
        "layers": prepared.layers,
        "words": [
            {
                "word": word,
                "texts": len({index for index, _ in matches[fold(word)]}),
                "occurrences": sum(match.occurrences for _, match in matches[fold(word)]),
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
            "floor": options.floor,
            "special_tokens": options.count_special,
            "texts": len(prepared.examples),
            "tokens": len(positions.text),
            "counted_tokens": int(positions.counted.sum()),
            "influential_tokens": int((positions.influential & positions.counted).sum()),
            "neurons": neurons,
            "ranked": ranked,
            "unranked": neurons - ranked,
            "matched": matched_count(arrays["rank"]),
            "matched_in_layer": MATCHED_IN_LAYER,
            "dropped": [
                {"text": index, "word": word} for index, found in prepared.found.items() for word in found.dropped
            ],
            "model_labels": [{"text": index, "label": label} for index, label in prepared.model_labels.items()],
            "left_out": [asdict(text) for text in prepared.left_out],
            "answers": [
                {"text": index, "answer": found.answer}
                for index, found in prepared.found.items()
                if found.answer is not None
            ],
            "without_words": [
                asdict(LeftOut(example.index, "no influential word", start_of(example.text[slice(*example.span)])))
                for example in prepared.examples
                if not example.words
            ],
            "plain_question": next((each.plain_reason for each in prepared.found.values() if each.plain_reason), None),
        },
    }
