"""An attribution that nobody ran: random activations and plain tables, in the store's true form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.store.attributions.writer import ActivationWriter

LAYERS, NEURONS = 3, 40
TOKENS = [
    ["<s>", "▁A", "▁badly", "▁dam", "aged", "▁chair", ".", "\n", "=", "Labels", ":"],
    ["<s>", "▁The", "▁food", "▁was", "▁bland", "-", "+", "@", '"', "<b>", "日本"],
]
VARIANTS = ["dense", "pruned-1", "pruned-2"]
SPEC = {
    "dense": "demo",
    "pruned": ["pruned:0123456789abcdef", "pruned:fedcba9876543210"],
    "texts": {"dataset": "reviews", "count": 2, "seed": 0},
    "prompt": "reviews",
    "words": {"source": "manual"},
    "activation": "relu",
    "layers": None,
    "permutations": 1000,
    "seed": 0,
}
HEADS = 4
CHANGED = [11, 3, np.nan, np.nan, np.nan, -0.5, 0.25, np.nan, np.nan, np.nan]
"""Two changed weights of each neuron, up 3 and gate 3, and their contributions."""
WORDS = ["badly", "damaged", "bland"]


@dataclass(frozen=True)
class MadeUp:
    path: Path
    activations: dict[str, NDArray[np.float16]]  # by variant, [layers, neurons, tokens]
    arrays: dict[str, NDArray[Any]]


def examples() -> list[dict[str, Any]]:
    places = [{"badly": [2], "damaged": [3, 4]}, {"bland": [4]}]
    return [
        {
            "index": index,
            "label": "negative",
            "text": "".join(tokens[1:]).replace("▁", " ").strip(),
            "tokens": tokens,
            "token_ids": [1, *range(100 * index + 17, 100 * index + 16 + len(tokens))],
            "influential": [any(i in at for at in places[index].values()) for i in range(len(tokens))],
            "special": [i == 0 for i in range(len(tokens))],
            "words": [{"word": word, "positions": at, "occurrences": 1} for word, at in places[index].items()],
        }
        for index, tokens in enumerate(TOKENS)
    ]


def write_made_up(
    path: Path, *, neurons: int = NEURONS, layers: int = LAYERS, seed: int = 0, spec: dict[str, Any] | None = None
) -> MadeUp:
    """Write it to ``path`` and hand back every number in it; ``spec`` changes what the spec says."""
    asked = {**SPEC, **(spec or {})}
    rng = np.random.default_rng(seed)
    texts = examples()
    tokens = sum(len(text["tokens"]) for text in texts)
    shape = (layers, neurons, tokens)
    values = {name: rng.normal(0, 0.2, shape).astype(np.float16) for name in VARIANTS}
    flags = np.concatenate([text["influential"] for text in texts])
    counted = ~np.concatenate([text["special"] for text in texts])
    positive = np.maximum(values["dense"].astype(np.float32), 0)
    score = positive[..., flags & counted].sum(-1) / positive[..., counted].sum(-1)
    score[1, 3] = np.nan  # one neuron that is not ranked
    means = {name: _word_means(array) for name, array in values.items()}
    word = means["dense"].argmax(-1).astype(np.int32)
    drop = {name: _drop(means["dense"], means[name], word) for name in VARIANTS[1:]}
    arrays: dict[str, NDArray[Any]] = {
        "score": score.astype(np.float32),
        "p_value": rng.uniform(0, 1, shape[:2]).astype(np.float32),
        "q_value": rng.uniform(0, 1, shape[:2]).astype(np.float32),
        "z": rng.normal(0, 1, shape[:2]).astype(np.float32),
        "lift": (score * 5).astype(np.float32),
        "rank": _ranks(score),
        "word": word,
        **{f"drop/{name}": array for name, array in drop.items()},
        **{f"drop_low/{name}": array - np.float32(0.1) for name, array in drop.items()},
        **{f"drop_high/{name}": array + np.float32(0.1) for name, array in drop.items()},
        **{f"word_damage/{name}": _word_damage(layers) for name in drop},
        **_tops(positive / positive[..., counted].sum(-1, keepdims=True), counted, score),
        **{f"own_drop/{name}": array * np.float32(0.25) for name, array in drop.items()},
        **{f"upstream_drop/{name}": array * np.float32(0.75) for name, array in drop.items()},
        "writers": np.where(np.arange(layers)[:, None, None] > 0, [5, layers * neurons + HEADS + 2, 7, -1], -1)
        .repeat(8, 1)
        .astype(np.int32),
        "writer_sizes": np.tile(np.array([0.75, -0.625, -0.5, np.nan], np.float32), (layers, 8, 1)),
        **{f"kl/{name}": rng.uniform(0, 2, tokens).astype(np.float32) for name in drop},
        **{f"masked_in/{name}": np.full(shape[:2], 0.47, np.float32) for name in drop},
        **{f"masked_out/{name}": np.full(shape[:2], 0.52, np.float32) for name in drop},
    }
    labels = ["demo", "wanda · c4 · 0.5", "magnitude · 0.5"]
    models = [asked["dense"], *asked["pruned"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with ActivationWriter(
        path,
        spec=asked,
        variants=VARIANTS,
        models=[str(model) for model in models],
        labels=labels,
        examples=texts,
        layers=layers,
        neurons=neurons,
    ) as writer:
        for name, array in values.items():
            for layer in range(layers):
                writer.write(name, layer, 0, array[layer].T)
                for _ in writer.blocks(name, layer):
                    pass
                writer.keep(f"word_activations/{name}", layer, means[name][layer])
                writer.keep(f"text_activations/{name}", layer, _by_text(means[name][layer], word[layer]))
                told = array[layer][:, counted].astype(np.float32)
                counts = np.tile(np.arange(16, dtype=np.float32), (neurons, 1))
                spread = np.column_stack([told.mean(1), told.min(1), told.max(1), counts])
                writer.keep(f"spread/{name}", layer, spread)
            writer.close(name)
        for name in VARIANTS[1:]:
            own = own_parts(values, name)
            for layer in range(layers):
                for block in writer.spans():
                    writer.store(f"own/{name}", layer, block, own[layer, block])
                writer.keep(f"changed/{name}", layer, np.tile(np.array(CHANGED, np.float32), (neurons, 1)))
                writer.keep(f"word_own/{name}", layer, 0.25 * (means[name] - means["dense"])[layer])
        recorded = list(range(layers) if asked["layers"] is None else asked["layers"])
        writer.finish(arrays, _tables(layers, neurons, tokens, int(counted.sum()), recorded))
    return MadeUp(path, values, arrays)


def own_parts(values: dict[str, NDArray[np.float16]], variant: str) -> NDArray[np.float16]:
    """[layers, neurons, tokens]: a quarter of each change."""
    return (0.25 * (values[variant].astype(np.float32) - values["dense"])).astype(np.float16)


def _by_text(means: NDArray[np.float32], word: NDArray[np.int32]) -> NDArray[np.float32]:
    """[neurons, texts]: on its own word, which stands in one of the two texts."""
    own = np.take_along_axis(means, word[:, None], 1)
    return np.where(np.array([[0, 0, 1]]).T[word] == np.arange(2), own, np.nan).astype(np.float32)


def _word_damage(layers: int) -> NDArray[np.float32]:
    row = [[2.0, 0.1, drop, drop - 0.05, drop + 0.05] for drop in (0.2, 0.3, np.nan)]
    return np.tile(np.array(row, np.float32), (layers, 1, 1))


def _tops(shares: NDArray[Any], counted: NDArray[Any], score: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The five neurons that answer most to each word and token, over all layers and in each."""
    shares = np.where(np.isnan(score)[..., None] | ~counted, np.nan, shares)
    of_words = np.stack([shares[..., at].sum(-1) for at in ([2], [3, 4], [len(TOKENS[0]) + 4])], axis=-1)
    found = {}
    for name, table in (("word", of_words), ("token", shares)):
        for suffix, rows in (("", table.reshape(1, -1, table.shape[-1])), ("_by_layer", table)):
            order = np.argsort(-rows, axis=1, kind="stable")[:, :5].transpose(0, 2, 1)
            best = np.take_along_axis(rows.transpose(0, 2, 1), order, -1)
            places = np.where(best > 0, order, -1).astype(np.int32)
            kept = np.where(best > 0, best, np.nan).astype(np.float32)
            found[f"{name}_neurons{suffix}"] = places if suffix else places[0]
            found[f"{name}_scores{suffix}"] = kept if suffix else kept[0]
    return found


def _word_means(array: NDArray[np.float16]) -> NDArray[np.float32]:
    positive = np.maximum(array.astype(np.float32), 0)
    places = [[2], [3, 4], [len(TOKENS[0]) + 4]]
    return np.stack([positive[..., at].mean(-1) for at in places], axis=-1)


def _drop(dense: NDArray[Any], pruned: NDArray[Any], word: NDArray[Any]) -> NDArray[np.float32]:
    before = np.take_along_axis(dense, word[..., None], -1)[..., 0]
    after = np.take_along_axis(pruned, word[..., None], -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, 1 - after / before, np.nan).astype(np.float32)


def _ranks(score: NDArray[Any]) -> NDArray[np.int32]:
    order = np.argsort(-score.ravel(), kind="stable")[: int(np.isfinite(score).sum())]
    ranks = np.zeros(score.size, dtype=np.int32)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks.reshape(score.shape)


def _tables(layers: int, neurons: int, tokens: int, counted: int, recorded: list[int]) -> dict[str, Any]:
    def interval(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "neurons": 10, "texts": 2}

    groups = {
        "top": interval(0.6),
        "random": interval(0.12),
        "activation_matched": interval(0.34),
        "over_random": interval(0.48),
        "over_activation_matched": interval(0.26),
    }
    damage = [{"neurons": 5, "activation": 0.2, "drop": d, "low": d - 0.1, "high": d + 0.1} for d in (0.9, 0.5, 0.7)]
    each = [{"layer": layer, "controls": groups} for layer in range(layers)]
    return {
        "format": 2,
        "layers": recorded,
        "words": [
            {"word": word, "texts": 1, "occurrences": 1, "tokens": count}
            for word, count in zip(WORDS, (1, 2, 1), strict=True)
        ],
        "split": {
            "missing": [],
            "matrices": {str(layer): ["gate", "up"] for layer in recorded},
            "width": 8,
            "heads": HEADS,
            "variants": {
                name: {
                    "top": {"neurons": 10, "drop": 0.6, "own": 0.2, "upstream": 0.4},
                    "layers": [{"layer": layer, "own": 0.9 - 0.3 * layer} for layer in recorded],
                }
                for name in VARIANTS[1:]
            },
        },
        "comparisons": {name: {"controls": groups, "words": damage, "layers": each} for name in VARIANTS[1:]},
        "summary": {
            "activation": "relu",
            "source": "manual",
            "layers": recorded,
            "permutations": 1000,
            "floor": 0.05,
            "special_tokens": False,
            "texts": 2,
            "tokens": tokens,
            "counted_tokens": counted,
            "influential_tokens": 4,
            "neurons": layers * neurons,
            "ranked": layers * neurons - 1,
            "unranked": 1,
            "matched": 10,
            "matched_in_layer": 20,
            "dropped": [{"text": 1, "word": "awful"}],
            "left_out": [{"text": 2, "reason": "no influential word was found", "start": "So it goes"}],
            "answers": [{"text": 2, "answer": "None at all"}],
            "found": [
                {"text": 0, "source": "cot", "words": [{"word": "badly", "probability": 0.125}]},
                {"text": 1, "source": "occlusion", "words": [{"word": "bland", "effect": 1.5}]},
            ],
        },
    }
