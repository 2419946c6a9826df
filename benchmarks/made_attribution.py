"""Makes an attribution of any size with random activations, using the project's own code for everything else.

A layer's activations are written as recording writes them, and store, Scores, comparison and tables are the real code,
so times and sizes are those of a real attribution of that size. Each activation is silu(g) u with normal g and u, as
for a neuron of a gated MLP, because its distribution determines how well it compresses.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from prunescope.jobs.specs import AttributeSpec
from prunescope.lm.rows import file_rows
from prunescope.lm.tokens import Tokens, tokenize
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.damage import baseline, compare
from prunescope.nsa.examples import make_examples, positions_of
from prunescope.nsa.matching import match
from prunescope.nsa.placebo import text_words
from prunescope.nsa.preparation import Options, Prepared
from prunescope.nsa.recording import batches
from prunescope.nsa.tables import tables_document
from prunescope.nsa.texts import FoundWords, Text
from prunescope.store.attributions.writer import ActivationWriter

REVIEWS = Path(__file__).parents[1] / "demo" / "reviews.jsonl"
PRUNED = "pruned-1"
SPEC = AttributeSpec.model_validate(
    {"dense": "demo", "pruned": ["pruned:0123456789abcdef"], "texts": {"dataset": "reviews", "count": 10}}
)
WORDS_OF_A_TEXT = 5  # as many as the gradient and occlusion sources name
SHIFT = 37


@dataclass(frozen=True)
class Size:
    """How large an attribution is; Llama-2-7B's has 32 layers of 11008 neurons."""

    layers: int = 32
    neurons: int = 11008
    texts: int = 10
    tokens: int = 170
    permutations: int = 1000
    placebo: int = 200

    @property
    def draws(self) -> int:
        """The number of draws from which p comes: of placebo words or, without them, of tokens."""
        return self.placebo or self.permutations

    @property
    def values(self) -> int:
        """The number of activations of one variant."""
        return self.layers * self.neurons * self.texts * self.tokens


def reviews(tokenizer: PreTrainedTokenizerBase, texts: int, tokens: int) -> tuple[list[Tokens], list[Text]]:
    """`texts` texts of exactly `tokens` tokens, from concatenated demo reviews, with words that occur in them."""
    rows = list(file_rows(REVIEWS))
    cut: list[Tokens] = []
    made: list[Text] = []
    place = 0
    while len(made) < texts:
        text, words = "", []
        while not text or len(tokenize(tokenizer, text).ids) < tokens:
            fields = rows[place % len(rows)].fields
            place += 1
            text = f"{text} {fields['text']}".strip()
            words += list(fields["words"])  # type: ignore[call-overload]
        every = tokenize(tokenizer, text)
        parts = (every.ids, every.texts, every.offsets, every.special)
        cut.append(Tokens(*(part[:tokens] for part in parts)))  # type: ignore[arg-type]
        made.append(Text(text[: cut[-1].offsets[-1][1]], "negative", tuple(words[:WORDS_OF_A_TEXT])))
    return cut, made


def prepared(tokenizer: PreTrainedTokenizerBase, size: Size) -> Prepared:
    """The prepared input of an attribution of these texts."""
    tokens, texts = reviews(tokenizer, size.texts, size.tokens)
    found = {index: FoundWords(text.words or (), (), None) for index, text in enumerate(texts)}
    examples = make_examples(dict(enumerate(tokens)), texts, found)
    words = [text_words(*each) for each in zip(texts, tokens, examples, strict=True)]
    positions = positions_of(examples)
    made = Prepared(examples, positions, found, {}, [], list(range(size.layers)), words)
    return made.without_sinks(np.zeros(len(positions.text), dtype=bool))


class Activations:
    """Both variants' activations, layer by layer. One layer is drawn at random; the others are copies of it, shifted
    along the tokens."""

    def __init__(self, size: Size, seed: int = 0) -> None:
        self._tokens = size.texts * size.tokens
        rng = np.random.default_rng(seed)
        dense = self._drawn(rng, size.neurons)
        noise = self._drawn(rng, size.neurons)
        self._twice = {
            name: np.concatenate([values, values]).astype(np.float16)
            for name, values in ((DENSE, dense), (PRUNED, 0.7 * dense + 0.3 * noise))
        }

    def of(self, variant: str, layer: int) -> NDArray[np.float16]:
        """[tokens, neurons] of one layer."""
        first = SHIFT * layer % self._tokens
        return self._twice[variant][first : first + self._tokens]

    def _drawn(self, rng: np.random.Generator, neurons: int) -> NDArray[np.float32]:
        gate, up = (rng.standard_normal((self._tokens, neurons), np.float32) for _ in range(2))
        made: NDArray[np.float32] = gate / (1 + np.exp(-gate)) * up
        return made


def make(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    size: Size,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Write the attribution to `folder`. Returns the seconds of each step by the clock, and its size in bytes."""
    work, activations = prepared(tokenizer, size), Activations(size)
    options = Options(placebo=size.placebo, permutations=size.permutations)
    shape = (size.layers, size.neurons)
    seconds = {"record": 0.0, "store": 0.0}

    def silent(_stage: str, _done: int, _total: int, _unit: str, _message: str = "") -> None:
        """Ignore progress."""

    with ActivationWriter(
        folder,
        spec=SPEC.model_dump(mode="json"),
        variants=[DENSE, PRUNED],
        models=[SPEC.dense, *SPEC.pruned],
        labels=["dense", "pruned"],
        examples=[example.document() for example in work.examples],
        layers=size.layers,
        neurons=size.neurons,
    ) as writer:
        _written(writer, DENSE, activations, work, seconds, clock)
        began = clock()
        matched = match(writer, DENSE, work, options, shape, device, silent)
        seconds["score"] = clock() - began
        arrays = matched.arrays
        arrays["sinks"] = work.positions.sink_mask
        began = clock()
        against = baseline(writer, DENSE, work, options, matched.tops, device)
        seconds["controls"] = clock() - began
        writer.close(DENSE)
        _written(writer, PRUNED, activations, work, seconds, clock)
        began = clock()
        compared = compare(writer, PRUNED, work, options, arrays, against, device, silent)
        seconds["compare"] = clock() - began
        writer.close(PRUNED)
        for side in ("in", "out"):
            arrays[f"masked_{side}/{PRUNED}"] = np.full(shape, 0.5, np.float32)
        tables = tables_document(work, options, arrays, {PRUNED: compared}, cross_fitted=True)
        writer.finish(matched.all_arrays(size.layers), tables)
    kept = {
        "activations": _bytes_below(folder / "activations"),
        "tables": _bytes_below(folder) - _bytes_below(folder / "activations"),
    }
    influential = int(work.positions.influential.sum())
    return {
        "size": vars(size) | {"variants": 2, "influential_tokens": influential, "words": len(work.positions.words)},
        "seconds": seconds,
        "score_seconds_per_million_draws": 1e6 * seconds["score"] / (size.layers * size.neurons * size.draws),
        "bytes": kept,
        "bytes_per_neuron_token": kept["activations"] / (2 * size.values),
        "summary": json.loads(json.dumps(tables["summary"])),
    }


def _written(
    writer: ActivationWriter,
    variant: str,
    activations: Activations,
    work: Prepared,
    seconds: dict[str, float],
    clock: Callable[[], float],
) -> None:
    """Write one variant batch by batch, as recording does, then convert it to its final layout."""
    layers = [activations.of(variant, layer) for layer in work.layers]
    began = clock()
    for start, stop in _spans(work):
        for layer in work.layers:
            writer.write(variant, layer, start, layers[layer][start:stop])
    recorded = clock()
    for layer in work.layers:
        for _ in writer.blocks(variant, layer):
            pass
    seconds["record"] += recorded - began
    seconds["store"] += clock() - recorded


def _spans(work: Prepared) -> Iterator[tuple[int, int]]:
    """Each batch's range of tokens."""
    start = 0
    for batch in batches([example.token_ids for example in work.examples]):
        stop = start + sum(map(len, batch))
        yield start, stop
        start = stop


def _bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
