"""Computes ranks and top neurons from an attribution's arrays, and the summary document `tables` that pages read."""

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from prunescope.nsa.examples import LeftOut
from prunescope.nsa.preparation import Options, Prepared
from prunescope.nsa.significance import MIN_P
from prunescope.nsa.spelling import WordMatch
from prunescope.nsa.texts import start_of
from prunescope.text.words import fold

FORMAT = 3  # version of the stored attribution; store/attributions/activations.py also reads 1 and 2
MAX_TOP = 100  # maximum number of top neurons over all layers that are compared with controls
MAX_TOP_OF_LAYER = 20  # maximum number of top neurons of each layer that are compared with controls


def ranks_of(score: Float[np.ndarray, "layers neurons"]) -> np.ndarray:
    """Return ranks over all layers: 1 for the highest Score, ties in order of position; 0 where the Score is NaN."""
    order = np.argsort(-score.ravel(), kind="stable")[: int(np.isfinite(score).sum())]
    ranks = np.zeros(score.size, dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks.reshape(score.shape)


def top_count(ranks: np.ndarray) -> int:
    """Return the number of top neurons to compare with controls: 5 % of the ranked neurons, at least 10 and at most
    MAX_TOP, but never more than are ranked."""
    return top_number(int(ranks.max(initial=0)))


def top_number(ranked: int) -> int:
    """Return the number of top neurons among so many ranked ones (`top_count`)."""
    return min(MAX_TOP, max(10, ranked // 20), ranked)


def tables_document(
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    comparisons: dict[str, Any],
    cross_fitted: bool,
) -> dict[str, Any]:
    """Return the JSON document `tables`, which store/attributions/tables.py reads. `comparisons`: variant -> result of
    `damage.compare`. `cross_fitted`: whether drops were measured on texts that did not choose the neurons."""
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
            "content": options.content,
            "layers": prepared.layers,
            "permutations": options.permutations,
            "placebo": options.placebo,
            "least_p": MIN_P,
            "cross_fitted": cross_fitted,
            "floor": options.floor,
            "special_tokens": options.count_special,
            "sinks": options.count_sinks,
            "texts": len(prepared.examples),
            "tokens": len(positions.text),
            "counted_tokens": int(positions.counted.sum()),
            "sink_tokens": int(positions.sink_mask.sum()),
            "influential_tokens": int((positions.influential & positions.counted).sum()),
            "neurons": neurons,
            "ranked": ranked,
            "unranked": neurons - ranked,
            "matched": top_count(arrays["rank"]),
            "matched_in_layer": MAX_TOP_OF_LAYER,
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
            "found": [{"text": index, **found.document()} for index, found in prepared.found.items()],
            "without_words": [
                asdict(LeftOut(example.index, "no influential word", start_of(example.text[slice(*example.span)])))
                for example in prepared.examples
                if not example.words
            ],
            "plain_question": next((each.plain_reason for each in prepared.found.values() if each.plain_reason), None),
        },
    }
