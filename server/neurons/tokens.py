"""The tokens of a text with one neuron's activations in the dense and one pruned model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from prunescope.server.attributions.documents import Example
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.view import NeuronView, transformed
from prunescope.server.site import formats
from prunescope.text.pieces import drawn
from prunescope.text.words import fold


class DenseAndPruned:
    """Base of what has a value in the dense and in one pruned model: the change from one to the other."""

    dense: float
    pruned: float

    @property
    def difference(self) -> float:
        return self.pruned - self.dense

    @property
    def change(self) -> float | None:
        """The difference relative to the dense value; None if that is zero."""
        return None if self.dense == 0 else self.difference / abs(self.dense)


@dataclass(frozen=True)
class Token(DenseAndPruned):
    """One token and the neuron's activations on it in the dense and one pruned model, as the view transforms them."""

    position: int
    id: int
    name: str  # between quotes
    parts: tuple[str, ...]  # its text, split at newlines
    influential: bool
    special: bool
    sink: bool
    dense: float
    pruned: float
    dense_raw: float
    pruned_raw: float
    own: float | None = None  # the part of pruned_raw - dense_raw that is due to the neuron's own weights
    divergence: float | None = None  # KL(dense || pruned) of the prediction of the next token, in nats
    rest: bool = False  # of the bytes of a character that the token before it begins or goes on with

    @property
    def upstream(self) -> float | None:
        """The part of ``pruned_raw - dense_raw`` that is due to changed inputs."""
        return None if self.own is None else self.pruned_raw - self.dense_raw - self.own

    @property
    def aside(self) -> bool:
        """Whether the token is special or a sink: it has no shade and does not set the scale."""
        return self.special or self.sink

    @cached_property
    def note(self) -> str:
        """All data of the token in one line, the same in all panes."""
        return (
            f"{self.name} token {self.position}, id {self.id}: dense {formats.activation(self.dense)}, pruned "
            f"{formats.activation(self.pruned)}, {formats.signed(self.difference)}; raw: dense {self.dense_raw!r}, "
            f"pruned {self.pruned_raw!r}"
        )

    @property
    def causes(self) -> list[str]:
        """The parts of the raw change, and the divergence, each as a short text; empty where they were not measured."""
        found = []
        if self.own is not None and self.upstream is not None:
            found.append(f"own weights {formats.signed(self.own)}, upstream {formats.signed(self.upstream)}")
        if self.divergence is not None:
            found.append(f"next token: KL {formats.decimal(self.divergence)} nats")
        return found


def tokens_of(neuron: NeuronDocument, place: int, pruned: Variant, view: NeuronView) -> tuple[Token, ...]:
    """The tokens of the example at position ``place`` in the document, with the values of the dense model and of a
    pruned variant. Newlines are spaces if the view joins lines."""
    example, dense = neuron.examples[place], neuron.variants[0]
    values = zip(dense.activations[place], pruned.activations[place], strict=True)
    texts = [drawn(token) if view.breaks == "kept" else drawn(token).replace("\n", " ") for token in example.tokens]
    return tuple(
        Token(
            position=position,
            id=example.token_ids[position],
            name=_name(example.tokens, position),
            parts=tuple(texts[position].split("\n")),
            influential=example.influential[position],
            special=example.special[position],
            sink=example.sinks[position],
            dense=transformed(before, view.activation),
            pruned=transformed(after, view.activation),
            dense_raw=before,
            pruned_raw=after,
            own=pruned.own[place][position] if pruned.own else None,
            divergence=pruned.divergence[place][position] if pruned.divergence else None,
            rest=not example.tokens[position] and not example.special[position],
        )
        for position, (before, after) in enumerate(values)
    )


def _name(tokens: Sequence[str], place: int) -> str:
    """A token between quotes; for a token without text (the rest of a character), the token with the character."""
    if tokens[place]:
        return formats.token_name(tokens[place])
    first = next((token for token in reversed(tokens[:place]) if token), "")
    return f"rest of {formats.token_name(first)}"


def remark(token: Token) -> str:
    """The marks, the raw values and the causes of a token, in one line."""
    marks = ["influential"] if token.influential else []
    if token.special:
        marks.append("special, outside of the scale")
    elif token.sink:
        name = "attention sink" if token.position else "first token"
        marks.append(f"{name}: not counted, outside of the scale")
    if (token.dense, token.pruned) != (token.dense_raw, token.pruned_raw):
        marks.append(f"raw {formats.activation(token.dense_raw)} → {formats.activation(token.pruned_raw)}")
    return " · ".join([*marks, *token.causes])


def default_example(neuron: NeuronDocument, variant: str) -> int:
    """The index of the example with the largest loss in a pruned variant at a token of the neuron's own word; if it
    lost nothing there, at any influential token; if it lost nothing at all, the one with the largest change."""
    examples, dense = neuron.examples, neuron.variants[0]
    pruned = next(each for each in neuron.variants if each.name == variant)

    def losses(place: int, tokens: Iterable[int]) -> list[float]:
        before, after = dense.activations[place], pruned.activations[place]
        return [transformed(before[i], neuron.activation) - transformed(after[i], neuron.activation) for i in tokens]

    own = [losses(place, _tokens_of(example, neuron.word)) for place, example in enumerate(examples)]
    influential = [
        losses(place, [i for i, on in enumerate(example.influential) if on]) for place, example in enumerate(examples)
    ]
    for found in (own, influential):
        place = max(range(len(examples)), key=lambda place: max(found[place], default=0.0))
        if max(found[place], default=0.0) > 0:
            return examples[place].index
    changed = own if any(own) else influential
    return examples[max(range(len(examples)), key=lambda place: max(map(abs, changed[place]), default=-1.0))].index


def _tokens_of(example: Example, word: str | None) -> list[int]:
    if word is None:
        return []
    return [position for each in example.words if fold(each.word) == fold(word) for position in each.positions]
