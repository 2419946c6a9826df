"""Attributions with their Zarr group open. The last few are kept, so that a neuron's page reads one chunk only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.documents import Example, ExampleSummary, NeuronRow, VariantSummary
from prunescope.server.labels import WORD_SOURCES
from prunescope.server.record_names import RecordNames
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.attributions import documents as kept
from prunescope.store.attributions.activations import ActivationStore, NoSuchNeuron
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.attributions.tables import AttributionTables
from prunescope.text.pieces import readable

MAX_LISTED = 500
MAX_OPEN = 4
"""A 7B model's tables are some 20 MB each."""


@dataclass(frozen=True)
class Whereabouts:
    """The location of an attribution; ``version`` changes when the attribution of this id is replaced."""

    location: str
    version: str


class OpenAttribution:
    """One attribution and what all of its pages use, read once; labels depend on other records and are read anew."""

    def __init__(self, id: str, where: Whereabouts, names: RecordNames) -> None:
        self.id = id
        self._names = names
        self.where = where
        self.store = ActivationStore(where.location)
        self.tables = AttributionTables(self.store)
        self.spec = self.store.spec
        # Read now and not when a page is half made: damage here is one error, whatever page was asked for.
        with self.store.reading("what was done"):
            self.layers: list[int] = self.store.tables["layers"]
            self.name_anew()
            self.store.require("score", "p_value", "rank", "word")
            _ = self.variants, self.examples, self.summary, self.tables.words_list

    @property
    def variants(self) -> list[VariantSummary]:
        """Dense first, then the pruned ones in order."""
        named = zip(self.store.variants, self.store.models, self._named[1], strict=True)
        return [VariantSummary(name=n, model=m, label=label, href=urls.model(m)) for n, m, label in named]

    @property
    def label(self) -> str:
        """``reviews · demo``, and what differs from other attributions of that name."""
        return self._named[0]

    def name_anew(self) -> None:
        """Read the labels of the attribution and its models again; called once for each request."""
        self._named = self._names.of_attribution(self.id, self.spec, self.store.models, self.store.labels)

    @cached_property
    def examples(self) -> list[Example]:
        return [
            Example.model_validate(
                {**example, "tokens": readable(example["tokens"], example["special"], example["text"])}
            )
            for example in self.store.examples
        ]

    @cached_property
    def summary(self) -> kept.Summary:
        return self.tables.summary()

    @cached_property
    def example_summaries(self) -> list[ExampleSummary]:
        answers = {answer.text: answer.answer for answer in self.summary.answers}
        answered = {each.text for each in self.summary.model_labels}
        return [
            ExampleSummary(
                index=example.index,
                label=example.label,
                text=example.text,
                model_label=example.index in answered,
                words=[place.word for place in example.words],
                dropped=[dropped.word for dropped in self.summary.dropped if dropped.text == example.index],
                answer=answers.get(example.index),
            )
            for example in self.examples
        ]

    @property
    def provenance(self) -> str:
        """One line: models, texts, source of words, activation, permutations and seed."""
        texts = self.spec.get("texts")
        count = f"{len(self.examples)} text{'s' if len(self.examples) != 1 else ''}"
        if isinstance(texts, dict) and texts.get("dataset"):
            count += f" of {texts['dataset']}, seed {texts.get('seed', 0)}"
        dense, *pruned = (variant.label for variant in self.variants)
        parts = [
            f"{dense} against {', '.join(pruned)}" if pruned else dense,
            count,
            f"words {WORD_SOURCES.get(self.summary.source, self.summary.source)}",
            f"activation {self.summary.activation}" + (", special tokens too" if self.summary.special_tokens else ""),
            f"{self.summary.permutations} permutations, seed {self.spec.get('seed', 0)}",
        ]
        return "; ".join(parts)  # labels of models hold " · "

    def row(self, row: kept.NeuronRow) -> NeuronRow:
        """A row of the tables with the address of its neuron's page."""
        return NeuronRow(**dict(row), href=urls.neuron(self.id, row.layer, row.neuron))

    def variant(self, name: str | None) -> str | None:
        """The name of a pruned variant, checked: None gives the first one. Problem 422 for an unknown name."""
        pruned = self.store.variants[1:]
        if name is not None and name not in pruned:
            raise bad_field("variant", name, pruned, unknown_name(name, pruned))
        return name or (pruned[0] if pruned else None)

    def check_layer(self, layer: int | None) -> None:
        """Raise Problem 422 for a layer that was not recorded; None is allowed."""
        if layer is not None and layer not in self.layers:
            known = [*map(str, self.layers)]
            message = f"layer {layer} was not recorded; the layers are {', '.join(known)}"
            raise bad_field("layer", layer, known, message)

    def place_of(self, example: int) -> int:
        """Where the example with this index stands in ``examples``; Problem 422 for an index that is not there (texts
        that were left out have none)."""
        known = [each.index for each in self.examples]
        if example not in known:
            raise no_such_example(example, known)
        return known.index(example)


def no_such_neuron(error: NoSuchNeuron) -> Problem:
    """Problem 404 with the layers and neurons that exist."""
    return Problem(404, "not-found", "No such neuron", str(error))


def no_such_example(example: int, known: Sequence[int]) -> Problem:
    """Problem 422 that names the existing examples."""
    names = [*map(str, known)]
    message = f"there is no example {example}; the examples are {', '.join(names)}"
    return bad_field("example", example, names, message)


class OpenAttributions:
    """Cache of the ``most`` attributions that were used last. Safe to use from several threads."""

    def __init__(self, find: Callable[[str], Whereabouts], names: RecordNames, most: int = MAX_OPEN) -> None:
        self._find = find
        self._names = names
        self._damaged: dict[str, tuple[Whereabouts, str]] = {}
        self._opened = lru_cache(most)(self._open)
        self._listed = lru_cache(MAX_LISTED)(self._list)

    def get(self, id: str) -> OpenAttribution:
        """The open attribution; what ``find`` raises when there is none (Problem 404), Damaged when it cannot be
        read."""
        opened = self._opened(id, self._find(id))
        opened.name_anew()
        return opened

    def known_damage(self, id: str) -> str | None:
        """What was found damaged when the attribution was last opened; None where nothing was, or that is not known.
        Problem 404 where there is no artefact. Reads nothing."""
        where = self._find(id)
        known = self._damaged.get(id)
        return known[1] if known is not None and known[0] == where else None

    def listed(self, id: str) -> ListedAttribution:
        """What a list shows of an attribution whose record lacks it; kept, so that a list opens nothing twice."""
        return self._listed(id, self._find(id))

    def _open(self, id: str, where: Whereabouts) -> OpenAttribution:
        try:
            opened = OpenAttribution(id, where, self._names)
        except Damaged as error:
            self._damaged[id] = (where, str(error))
            raise
        self._damaged.pop(id, None)
        return opened

    def _list(self, id: str, where: Whereabouts) -> ListedAttribution:
        return ListedAttribution.read(self._open(id, where).store)

    def forget(self, id: str) -> None:
        """Drop what is cached of a deleted attribution, and the few that are open with it."""
        self._damaged.pop(id, None)
        self._opened.cache_clear()
