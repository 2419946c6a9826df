"""Prepares an attribution: selects texts, words and layers, and checks that the models can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
from jaxtyping import Bool
from torch import nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length, decoder_layers, down_projection, neuron_count, weight_view
from prunescope.lm.errors import BadInput, BadText
from prunescope.lm.loading import LanguageModel
from prunescope.lm.tokens import tokenize
from prunescope.nsa import scoring
from prunescope.nsa.errors import ModelsDiffer, TextsTooLong
from prunescope.nsa.examples import Example, LeftOut, Positions, fitting, make_examples, positions_of
from prunescope.nsa.placebo import TextWord, text_words
from prunescope.nsa.prompts import words_question
from prunescope.nsa.sinks import first_tokens
from prunescope.nsa.texts import FoundWords, Text
from prunescope.nsa.words import SOURCES, check_texts, influential_words


class Report(Protocol):
    """A progress callback, which may raise Cancelled: `done` of `total` units of a stage, with an optional message."""

    def __call__(self, stage: str, done: int, total: int, unit: str, message: str = "", /) -> None: ...


@dataclass(frozen=True)
class Options:
    """Options of an attribution. `source`: the word source. `content`: whether only content words are used
    (`nsa/words.py`). `activation`: `raw`, `relu` or `abs`. `layers`: None means all. `placebo`: the number of draws of
    placebo words (nsa/placebo.py). `permutations`: without them, the number of random draws for the permutation
    p-value; 0: no p. `floor`: see `scoring.scores`.
    `count_special`: whether special tokens are included in the sums of Eq. 1. `count_sinks`: whether position 0 and
    attention sinks (nsa/sinks.py) are counted as any other token."""

    source: str = "manual"
    content: bool = False
    activation: str = "relu"
    layers: tuple[int, ...] | None = None
    permutations: int = 1000
    placebo: int = 200
    seed: int = 0
    floor: float = scoring.FLOOR
    count_special: bool = False
    count_sinks: bool = False


@dataclass(frozen=True)
class Prepared:
    """The prepared texts, words and layers. `positions`: no sink is left out before `without_sinks`. By text index,
    `found` has the words of every used text, and `model_labels` the labels that the dense model chose for unlabelled
    texts. `words`: every example's words, from which placebo words are drawn."""

    examples: list[Example]
    positions: Positions
    found: dict[int, FoundWords]
    model_labels: dict[int, str]
    left_out: list[LeftOut]
    layers: list[int]
    words: list[list[TextWord]]

    def without_sinks(self, massive: Bool[np.ndarray, " tokens"]) -> "Prepared":
        """Return the same with position 0 of every text and the tokens in the mask `massive` left out of all sums.

        Raises BadText when no influential token remains.
        """
        sinks = massive | first_tokens([len(example.token_ids) for example in self.examples])
        positions = self.positions.without(sinks)
        if not positions.influential.any():
            words = ", ".join(self.positions.words)
            raise BadText(
                f"all tokens of the influential words ({words}) are position 0 of their text or attention sinks, which "
                "are not counted: give further words, or count them (`sinks`)"
            )
        return replace(self, positions=positions)


def check(texts: Sequence[Text], options: Options) -> None:
    """Raise BadInput or BadText for options or texts that are invalid for any model."""
    check_texts(texts)
    scoring.transform(options.activation)
    if options.source not in SOURCES:
        raise BadInput(f"words source {options.source!r} is unknown: choose one of {', '.join(SOURCES)}")
    for text in texts:
        words_question(text.group)
    if not 0 <= options.floor < 1:
        raise BadInput(f"floor {options.floor:g}: a quantile of the denominators, from 0 to less than 1")
    if options.placebo < 0:
        raise BadInput(f"placebo {options.placebo}: 0 (none) or more draws")
    if options.permutations < 0:
        raise BadInput(f"permutations {options.permutations}: 0 (none) or more")
    if options.layers is not None and not options.layers:
        raise BadInput("layers: name at least one, or leave it out for all")


def prepare(lm: LanguageModel, texts: Sequence[Text], options: Options, report: Report) -> Prepared:
    """Tokenise the texts and find their influential words with the dense model.

    Raises BadInput for a layer that the model does not have or a model without a tokenizer, BadText and its subclasses
    for unusable texts or words.
    """
    count = len(decoder_layers(lm.model))
    wrong = [layer for layer in options.layers or () if not 0 <= layer < count]
    if wrong:
        raise BadInput(f"layer {wrong[0]}: this model's layers are 0 to {count - 1}")
    if lm.tokenizer is None:
        raise BadInput(f"{lm.reference} has no tokenizer: put its tokenizer.json beside its weights")
    tokens, left_out = fitting(lm.tokenizer, texts, context_length(lm.model))
    kept = sorted(tokens)
    words = influential_words(
        lm,
        [texts[index] for index in kept],
        options.source,
        content=options.content,
        on_text=lambda done, found: report("words", done, len(kept), "texts", _named(kept[done - 1], found)),
    )
    found = {index: named for index, named in zip(kept, words, strict=True) if named is not None}
    for index in sorted(tokens.keys() - found.keys()):
        reason = "asking for its influential words takes more than the model's context"
        left_out.append(LeftOut(index, reason, texts[index].start))
        del tokens[index]
    if not tokens:
        raise TextsTooLong("all texts are too long to ask this model for their influential words: shorten them")
    labelled = [
        replace(text, label=found[i].label or text.label) if i in found else text for i, text in enumerate(texts)
    ]
    every = make_examples(tokens, labelled, found)
    # The user may say that a text has no influential word; a text for which a source found none is left out.
    made = [example for example in every if example.words or found[example.index].source == "manual"]
    for index in sorted({example.index for example in every} - {example.index for example in made}):
        left_out.append(LeftOut(index, "no influential word was found", texts[index].start))
    return Prepared(
        examples=made,
        positions=positions_of(made, count_special=options.count_special),
        found=found,
        model_labels={example.index: label for example in made if (label := found[example.index].label)},
        left_out=sorted(left_out, key=lambda text: text.text),
        layers=sorted(set(options.layers)) if options.layers else list(range(count)),
        words=[text_words(texts[example.index], tokens[example.index], example) for example in made],
    )


def _named(index: int, found: FoundWords | None) -> str:
    """A text's words as a progress message: `text 3: bad 0.41, crappy 0.02 (cot)`."""
    if found is None:
        return f"text {index + 1}: too long"
    amounts = [f" {amount:.2g}" for amount in found.amounts] or [""] * len(found.words)
    words = ", ".join(f"{word}{amount}" for word, amount in zip(found.words, amounts, strict=True))
    return f"text {index + 1}: {words or 'no influential word'} ({found.source})"


def shape_of(model: PreTrainedModel) -> tuple[int, int, int]:
    """Return (number of layers, neurons per layer, width of the hidden state)."""
    layers = decoder_layers(model)
    return len(layers), neuron_count(model), int(weight_view(down_projection(layers[0])).shape[0])


def vocabulary_of(model: PreTrainedModel) -> int:
    """Return the number of tokens that the embedding has."""
    return int(cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0])


def check_same_shape(lm: LanguageModel, name: str, shape: tuple[int, int, int], remedy: str) -> None:
    """Raise ModelsDiffer, whose message names both shapes and ends with `remedy`, unless the model has the dense
    model's shape (`shape_of`)."""
    own = shape_of(lm.model)
    if own != shape:
        found, wanted = (
            f"{layers} layer{'' if layers == 1 else 's'} of {neurons} neurons and width {width}"
            for layers, neurons, width in (own, shape)
        )
        raise ModelsDiffer(f"{name} has {found}, the dense model {wanted}; {remedy}")


def check_comparable(lm: LanguageModel, name: str, examples: list[Example], shape: tuple[int, int, int]) -> None:
    """Raise ModelsDiffer unless the variant has the dense model's shape and its tokenizer, if it has one, gives the
    same tokens."""
    check_same_shape(lm, f"{name} ({lm.reference})", shape, "compare models of the same shape")
    largest = max(max(example.token_ids) for example in examples)
    if largest >= vocabulary_of(lm.model):
        raise ModelsDiffer(
            f"{name} ({lm.reference}) has no token {largest}, which is in the texts: compare models with the same "
            f"tokenizer"
        )
    for example in examples:
        if lm.tokenizer is not None and tokenize(lm.tokenizer, example.text).ids != example.token_ids:
            raise ModelsDiffer(
                f"{name} ({lm.reference}) tokenises text {example.index} differently from the dense model: "
                "compare models with the same tokenizer"
            )
