"""A small made-up attribution, written through the real writer: three texts, two pruned variants, planted neurons."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.store.attributions.writer import ActivationWriter
from tests.made_up_causal import causal_table, outcomes

LAYERS, NEURONS = 4, 96
KEPT = (0.10, 0.45, 0.3, 0.6)
"""What share of a planted neuron's activation each pruned variant keeps."""
PROMPT = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"
TEXTS = [
    (
        "negative",
        "We stayed in The Suite. Let me be clear: I wanted and expected fancy for this special trip. I got average.\n\n"
        "When I drop $200 a night, I don't want any dust in the room, I don't want a badly damaged chair, and I don't "
        "want to pay $4 for a crappy in-room coffee. So if you want to be treated well, and if you don't want to wait "
        "for 45 minutes to check in, then go to The Venetian.",
        ["average", "dust", "badly", "damaged", "crappy"],
    ),
    (
        "negative",
        "Coffee tasted burnt. I asked for another and got one just as bitter, along with an eye roll from the barista. "
        "Unpleasant start to a Monday. <script>alert('not markup')</script> & so on.",
        ["burnt", "bitter", "Unpleasant"],
    ),
    (
        "positive",
        "The subtitles on my copy were out of step and I still adored it. Warm, funny, generous filmmaking: naïve, "
        "schön und 面白い. I have bought the disc for my parents.",
        ["adored", "Warm", "funny", "generous"],
    ),
]


def write_attribution(path: Path, spec: dict[str, Any], labels: list[str]) -> Path:
    """Write the attribution of ``spec`` (at most four pruned variants) at ``path`` and return it."""
    seed = int(spec["texts"].get("seed", 0)) if isinstance(spec["texts"], dict) else 0
    random = np.random.default_rng(7 + seed)
    examples = [_example(index, *text) for index, text in enumerate(TEXTS)]
    influential = np.concatenate([np.array(example["influential"]) for example in examples])
    special = np.concatenate([np.array(example["special"]) for example in examples])
    pruned = {f"pruned-{number}": kept for number, kept in zip(range(1, len(labels)), KEPT, strict=False)}
    names = ["dense", *pruned]
    words = [word for _, _, given in TEXTS for word in given]
    columns = _word_columns(examples, words)
    values = {name: np.zeros((LAYERS, NEURONS, len(influential)), np.float32) for name in names}
    noise = random.normal(0, 0.02, values["dense"].shape).astype(np.float32)
    values["dense"][:] = noise
    planted = _planted(seed)
    for layer in range(LAYERS):
        for place, neuron in enumerate(planted[layer]):
            strength = 0.30 * random.uniform(0.3, 1) / (1 + place / 6)
            values["dense"][layer, neuron, influential] += strength * random.uniform(0.3, 1, int(influential.sum()))
    values["dense"][:, :, special] = 2.5
    for name, kept in pruned.items():
        values[name] = values["dense"] + random.normal(0, 0.004, noise.shape).astype(np.float32)
        shares = np.clip(kept + random.normal(0, 0.12, (LAYERS, NEURONS, int(influential.sum()))), 0.01, 1.3)
        values[name][:, :, influential] *= shares
    with ActivationWriter(
        path,
        spec=spec,
        variants=names,
        models=[spec["dense"], *spec["pruned"]],
        labels=labels,
        examples=examples,
        layers=LAYERS,
        neurons=NEURONS,
    ) as writer:
        for name in names:
            for layer in range(LAYERS):
                writer.write(name, layer, 0, values[name][layer].T.astype(np.float16))
                for _ in writer.blocks(name, layer):
                    pass
            writer.close(name)
        arrays, comparisons = _tables(writer, values, columns, influential, special, pruned, random)
        return writer.finish(
            arrays,
            {
                "format": 2,
                "layers": list(range(LAYERS)),
                "words": [{"word": word, "texts": 1, "occurrences": 1, "tokens": len(columns[word])} for word in words],
                "summary": _summary(examples, int((arrays["rank"] > 0).sum())),
                "comparisons": comparisons,
                "causal": causal_table(
                    {
                        name: outcomes(0.9 - 0.02 * place, 0.8 + 0.05 * place, 0.87, seed=place)
                        for place, name in enumerate(["dense", *comparisons])
                    }
                ),
            },
        )


def _planted(seed: int) -> NDArray[np.int64]:
    """Twelve neurons of each layer; below seed 5 eight of them are the same, from there on all are others."""
    own, known = (
        np.random.default_rng(each).permuted(np.tile(np.arange(NEURONS), (LAYERS, 1)), axis=1) for each in (seed, 7)
    )
    if seed < 5:
        return np.concatenate([known[:, :8], own[:, :4]], axis=1)
    others = [[neuron for neuron in own[layer] if neuron not in known[layer, :8]] for layer in range(LAYERS)]
    return np.array([chosen[:12] for chosen in others])


def _example(index: int, label: str, text: str, words: list[str]) -> dict[str, Any]:
    tokens = ["<s>", *re.findall(r"\n| ?\w{1,6}| ?[^\w\s]|\s", text + PROMPT)]
    places = {word: _places(tokens, word) for word in words}
    influential = [any(i in found for found in places.values()) for i in range(len(tokens))]
    return {
        "index": index,
        "label": label,
        "text": text + PROMPT,
        "tokens": tokens,
        "token_ids": [1, *(100 + sum(map(ord, token)) % 4000 for token in tokens[1:])],
        "influential": influential,
        "special": [i == 0 for i in range(len(tokens))],
        "words": [{"word": word, "positions": found} for word, found in places.items()],
    }


def _places(tokens: list[str], word: str) -> list[int]:
    """The tokens that spell the word, where it stands first."""
    for start in range(len(tokens)):
        for end in range(start + 1, min(start + 5, len(tokens) + 1)):
            if "".join(tokens[start:end]).strip() == word:
                return list(range(start, end))
    raise AssertionError(f"{word} is not in the text")


def _word_columns(examples: list[dict[str, Any]], words: list[str]) -> dict[str, list[int]]:
    start, columns = 0, {}
    for example in examples:
        columns |= {word["word"]: [start + place for place in word["positions"]] for word in example["words"]}
        start += len(example["tokens"])
    return {word: columns[word] for word in words}


def _tables(
    writer: ActivationWriter,
    values: dict[str, NDArray[np.float32]],
    columns: dict[str, list[int]],
    influential: NDArray[np.bool_],
    special: NDArray[np.bool_],
    pruned: dict[str, float],
    random: np.random.Generator,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    words = list(columns)
    relu = {name: np.maximum(array, 0) for name, array in values.items()}
    total = relu["dense"][:, :, ~special].sum(axis=2)
    score = (relu["dense"][:, :, influential].sum(axis=2) / total).astype(np.float32)
    score[0, :5] = np.nan
    order = np.argsort(-np.nan_to_num(score, nan=-1).ravel(), kind="stable")
    rank = np.zeros(score.size, np.int32)
    rank[order] = np.arange(1, score.size + 1)
    rank = np.where(np.isnan(score), 0, rank.reshape(score.shape)).astype(np.int32)
    by_word = {
        name: np.stack([array[:, :, columns[word]].mean(axis=2) for word in words], axis=2).astype(np.float32)
        for name, array in relu.items()
    }
    for name, table in by_word.items():
        for layer in range(LAYERS):
            writer.keep(f"word_activations/{name}", layer, table[layer])
            writer.keep(f"spread/{name}", layer, _spread(values[name][layer], values["dense"][layer], ~special))
    word = by_word["dense"].argmax(axis=2).astype(np.int32)
    own = {name: np.take_along_axis(table, word[..., None], axis=2)[..., 0] for name, table in by_word.items()}
    holding = np.repeat(np.arange(len(TEXTS)), [len(given) for _, _, given in TEXTS])  # each word's text
    for name, table in own.items():
        for layer in range(LAYERS):
            here = holding[word[layer], None] == np.arange(len(TEXTS))
            by_text = np.where(here, table[layer][:, None], np.nan).astype(np.float32)
            writer.keep(f"text_activations/{name}", layer, by_text)
    share = influential.sum() / (~special).sum()
    arrays: dict[str, NDArray[Any]] = {
        "score": score,
        "p_value": np.where(np.isnan(score), np.nan, np.maximum(0.001, 0.5 - score)).astype(np.float32),
        "q_value": np.where(np.isnan(score), np.nan, np.maximum(0.004, 0.6 - score)).astype(np.float32),
        "z": ((score - share) * 10).astype(np.float32),
        "lift": (score / share).astype(np.float32),
        "rank": rank,
        "word": word,
        **_answering(relu["dense"] / total[..., None], list(columns.values()), ~special, np.isfinite(score)),
    }
    comparisons: dict[str, Any] = {}
    for name, kept in pruned.items():
        drop = np.where(own["dense"] > 0, 1 - own[name] / own["dense"], np.nan).astype(np.float32)
        fell = 1 - kept
        arrays |= {
            f"drop/{name}": drop,
            f"drop_low/{name}": drop - np.float32(0.1),
            f"drop_high/{name}": drop + np.float32(0.1),
            f"word_damage/{name}": np.tile(
                np.array([4, 0.2, fell, fell - 0.1, fell + 0.1], np.float32), (LAYERS, len(words), 1)
            ),
            f"masked_in/{name}": random.uniform(0.4, 0.6, score.shape).astype(np.float32),
            f"masked_out/{name}": random.uniform(0.4, 0.6, score.shape).astype(np.float32),
        }
        comparisons[name] = {
            "controls": {
                "top": _interval(fell, 0.04, 40),
                "random": _interval(0.12, 0.06, 200),
                "activation_matched": _interval(0.34, 0.09, 200),
                "over_random": _interval(fell - 0.12, 0.07, 40),
                "over_activation_matched": _interval(fell - 0.34, 0.1, 40),
            },
            "words": [
                {
                    "neurons": 4 + place,
                    "activation": 0.2 / (place + 1),
                    "drop": fell - 0.05 * place,
                    "low": fell - 0.05 * place - 0.1,
                    "high": fell - 0.05 * place + 0.05,
                }
                for place in range(len(words))
            ],
        }
    return arrays, comparisons


def _spread(own: NDArray[np.float32], dense: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[neurons, 19]: mean, minimum, maximum, and a histogram in the dense model's range."""
    rows = []
    for values, before in zip(own[:, counted], dense[:, counted], strict=True):
        within = np.clip(values, before.min(), before.max())
        counts, _ = np.histogram(within, bins=16, range=(before.min(), before.max()))
        rows.append([values.mean(), values.min(), values.max(), *counts])
    return np.array(rows, np.float32)


def _answering(
    shares: NDArray[np.float32], words: list[list[int]], counted: NDArray[np.bool_], ranked: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """The ten neurons with the largest shares on each word and on each token, over all layers and in each."""
    shares = np.where(ranked[..., None] & counted, shares, np.nan)
    of_words = np.stack([shares[..., places].sum(-1) for places in words], axis=-1)
    found: dict[str, NDArray[Any]] = {}
    for name, table in (("word", of_words), ("token", shares)):
        for suffix, rows in (("", table.reshape(1, -1, table.shape[-1])), ("_by_layer", table)):
            order = np.argsort(-rows, axis=1, kind="stable")[:, :10].transpose(0, 2, 1)
            best = np.take_along_axis(rows.transpose(0, 2, 1), order, -1)
            places = np.where(best > 0, order, -1).astype(np.int32)
            kept = np.where(best > 0, best, np.nan).astype(np.float32)
            found[f"{name}_neurons{suffix}"] = places if suffix else places[0]
            found[f"{name}_scores{suffix}"] = kept if suffix else kept[0]
    return found


def _interval(value: float, half: float, neurons: int) -> dict[str, float | int]:
    return {"value": value, "low": value - half, "high": value + half, "neurons": neurons}


def _summary(examples: list[dict[str, Any]], ranked: int) -> dict[str, Any]:
    tokens = sum(len(example["tokens"]) for example in examples)
    return {
        "activation": "relu",
        "source": "cot",
        "layers": list(range(LAYERS)),
        "permutations": 1000,
        "texts": len(examples),
        "tokens": tokens,
        "counted_tokens": tokens - len(examples),
        "influential_tokens": sum(sum(example["influential"]) for example in examples),
        "neurons": LAYERS * NEURONS,
        "ranked": ranked,
        "unranked": LAYERS * NEURONS - ranked,
        "matched": 40,
        "dropped": [{"text": 1, "word": "terrible"}],
        "left_out": [],
        "found": [
            {
                "text": example["index"],
                "source": "occlusion" if example["index"] else "cot",
                "words": [
                    {"word": match["word"], "effect" if example["index"] else "probability": 0.25}
                    for match in example["words"]
                ],
            }
            for example in examples
        ],
        "answers": [{"text": 1, "answer": " burnt, bitter, Unpleasant, terrible"}],
    }
