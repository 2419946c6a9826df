"""Open attributions: each with its Zarr group and tables. The last few are cached, so that a neuron's page reads only
one chunk."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from prunescope.jobs.labels import WORD_SOURCES
from prunescope.jobs.problems import Problem, bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.documents import Example, ExampleSummary, NeuronRow, VariantSummary
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.artefacts.names import RecordNames
from prunescope.store.attributions import documents as kept
from prunescope.store.attributions.activations import ActivationStore, NoSuchNeuron
from prunescope.store.attributions.split import divergence_of
from prunescope.store.attributions.summary import ListedAttribution
from prunescope.store.attributions.tables import AttributionTables
from prunescope.text.pieces import readable

MAX_LISTED = 500
"""Maximum number of cached entries of lists."""
MAX_OPEN = 4
"""Maximum number of cached open attributions. The tables of a 7B model take about 20 MB."""


@dataclass(frozen=True)
class AttributionLocation:
    """The location of an attribution. ``version`` changes when the artefact is replaced."""

    location: str
    version: str


class OpenAttribution:
    """One attribution: its spec, tables, texts and variants, read once, and its labels.

    Labels depend on other records, so ``update_labels`` reads them again for each request. The constructor raises
    Damaged if the artefact cannot be read.
    """

    def __init__(self, id: str, where: AttributionLocation, names: RecordNames) -> None:
        self.id = id
        self._names = names
        self.where = where
        self.store = ActivationStore(where.location)
        self.tables = AttributionTables(self.store)
        self.spec = self.store.spec
        # Read everything here, so that damage raises the same error on every page.
        with self.store.reading("what was done"):
            self.layers: list[int] = self.store.tables["layers"]
            self.update_labels()
            self.store.require("score", "p_value", "rank", "word")
            _ = self.variants, self.examples, self.summary, self.tables.words_list

    @property
    def variants(self) -> list[VariantSummary]:
        """The dense variant, then the pruned ones in order."""
        return VariantSummary.all_of(self.store.variants, self.store.models, self._named[1])

    @property
    def label(self) -> str:
        """The attribution's name, such as ``reviews · demo``, with settings if others have the same name."""
        return self._named[0]

    def update_labels(self) -> None:
        """Read the labels of the attribution and of its models again."""
        self._named = self._names.of_attribution(self.id, self.spec, self.store.models, self.store.labels)

    @cached_property
    def examples(self) -> list[Example]:
        return [
            Example.model_validate(
                {
                    **example,
                    "tokens": readable(example["tokens"], example["special"], example["text"]),
                    "sinks": self.store.sinks[span].tolist(),
                }
            )
            for example, span in zip(self.store.examples, self.store.spans, strict=True)
        ]

    @cached_property
    def summary(self) -> kept.Summary:
        return self.tables.summary()

    @cached_property
    def example_summaries(self) -> list[ExampleSummary]:
        answers = {answer.text: answer.answer for answer in self.summary.answers}
        found = {each.text: each for each in self.summary.found}
        answered = {each.text for each in self.summary.model_labels}
        measured = [(name, self.divergence_of(name)) for name in self.store.variants[1:]]
        divergence = {name: values for name, values in measured if values is not None}
        return [
            ExampleSummary(
                index=example.index,
                label=example.label,
                text=example.text,
                model_label=example.index in answered,
                words=[place.word for place in example.words],
                source=found[example.index].source if example.index in found else None,
                found=found[example.index].words if example.index in found else [],
                dropped=[dropped.word for dropped in self.summary.dropped if dropped.text == example.index],
                answer=answers.get(example.index),
                divergence={name: _mean(values[place]) for name, values in divergence.items()},
            )
            for place, example in enumerate(self.examples)
        ]

    @property
    def provenance(self) -> str:
        """One line with models, texts, source of the influential words, activation, permutations and seed."""
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
            "position 0 and sinks counted" if self.summary.sinks else f"{self.summary.sink_tokens} sinks left out",
            f"{self.summary.placebo} placebo draws"
            if self.summary.placebo
            else f"{self.summary.permutations} permutations",
            f"seed {self.spec.get('seed', 0)}",
        ]
        return "; ".join(parts)  # not " · ", which is part of the models' labels

    def divergence_of(self, variant: str) -> list[list[float]] | None:
        """KL(dense || pruned) of the next-token predictions of a pruned variant, one list for each example; None for
        the dense model, and if it was not measured."""
        values = divergence_of(self.store, variant) if variant in self.store.variants[1:] else None
        return None if values is None else [values[span].tolist() for span in self.store.spans]

    def row(self, row: kept.NeuronRow) -> NeuronRow:
        """A neuron's row of the tables, with the address of the neuron's page."""
        return NeuronRow(**dict(row), href=urls.neuron(self.id, row.layer, row.neuron))

    def variant(self, name: str | None) -> str | None:
        """The name of a pruned variant: ``name``, or the first one if ``name`` is None. The result is None if the
        attribution has no pruned variant. Raises Problem 422 for an unknown name."""
        pruned = self.store.variants[1:]
        if name is not None and name not in pruned:
            raise bad_field("variant", name, pruned, unknown_name(name, pruned))
        return name or (pruned[0] if pruned else None)

    def check_layer(self, layer: int | None) -> None:
        """Raise Problem 422 if the layer was not recorded. None stands for all layers."""
        if layer is not None and layer not in self.layers:
            known = [*map(str, self.layers)]
            message = f"layer {layer} was not recorded; the layers are {', '.join(known)}"
            raise bad_field("layer", layer, known, message)

    def place_of(self, example: int) -> int:
        """The position in ``examples`` of the example with this index. Raises Problem 422 for an unknown index, such as
        that of a skipped text."""
        known = [each.index for each in self.examples]
        if example not in known:
            names = [*map(str, known)]
            message = f"there is no example {example}; the examples are {', '.join(names)}"
            raise bad_field("example", example, names, message)
        return known.index(example)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def no_such_neuron(error: NoSuchNeuron) -> Problem:
    """Problem 404 that names the existing layers and neurons."""
    return Problem(404, "not-found", "No such neuron", str(error))


class OpenAttributions:
    """Cache of the ``most`` last used open attributions, safe to use from several threads.

    ``find`` locates an attribution by its id, and raises Problem 404 for an unknown id.
    """

    def __init__(self, find: Callable[[str], AttributionLocation], names: RecordNames, most: int = MAX_OPEN) -> None:
        self._find = find
        self._names = names
        self._damaged: dict[str, tuple[AttributionLocation, str]] = {}
        self._opened = lru_cache(most)(self._open)
        self._listed = lru_cache(MAX_LISTED)(lambda id, where: ListedAttribution.read(self._open(id, where).store))

    def get(self, id: str) -> OpenAttribution:
        """The open attribution with its present labels. Raises Problem 404 for an unknown id, Damaged if the artefact
        cannot be read."""
        opened = self._opened(id, self._find(id))
        opened.update_labels()
        return opened

    def known_damage(self, id: str) -> str | None:
        """The error with which the last attempt to open the attribution failed; None if there was none. Does not read
        the artefact. Raises Problem 404 for an unknown id."""
        where = self._find(id)
        known = self._damaged.get(id)
        return known[1] if known is not None and known[0] == where else None

    def listed(self, id: str) -> ListedAttribution:
        """The entry in lists of an attribution whose record has no summary, read from the artefact and cached."""
        return self._listed(id, self._find(id))

    def _open(self, id: str, where: AttributionLocation) -> OpenAttribution:
        try:
            opened = OpenAttribution(id, where, self._names)
        except Damaged as error:
            self._damaged[id] = (where, str(error))
            raise
        self._damaged.pop(id, None)
        return opened

    def forget(self, id: str) -> None:
        """Clear the caches after this attribution was deleted."""
        self._damaged.pop(id, None)
        self._opened.cache_clear()
        self._listed.cache_clear()
