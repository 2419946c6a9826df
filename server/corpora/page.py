"""Contexts of the pages of corpora, and of the part of a neuron's page that shows what the neuron does."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.corpora.documents import CorpusDocument, CorpusNeuron, CorpusSummary, NeuronInModel
from prunescope.server.corpora.queries import corpora_of, read_neuron
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import Damaged

MAX_OTHERS = 5
"""Maximum number of other corpora that a neuron's page links to."""
DEFAULT_DATASET = "demo"


@dataclass(frozen=True)
class Band:
    """The picture of one model's quantiles: places on a common axis, in percent of its width. ``outer`` is the band
    from the 5 % to the 95 % quantile, ``inner`` from 25 % to 75 %, each (x, width)."""

    line: tuple[str, str]  # x of the 1 % and of the 99 % quantile
    outer: tuple[str, str]
    inner: tuple[str, str]
    median: str


@dataclass(frozen=True)
class Does:
    """What a neuron does over a corpus, for `corpora/does.html`. ``bands`` has one entry for each model; ``low`` and
    ``high`` are the ends of their axis, ``zero`` the place of 0 on it, None outside of it."""

    neuron: CorpusNeuron
    bands: list[Band]
    low: float
    high: float
    zero: str | None


@dataclass(frozen=True)
class DoesCard:
    """The part "What this neuron does" of an attribution's neuron page. ``does`` is None without a corpus of the dense
    model; ``damaged`` is a sentence if the corpus cannot be read. ``form_href`` is the form of a new corpus."""

    does: Does | None
    damaged: str | None
    missing: bool  # whether the shown variant is not among the corpus's models
    others: list[Link]  # the same neuron in other corpora
    form_href: str


@dataclass(frozen=True)
class CorporaPage:
    """The context of ``corpora/list.html``."""

    frame: Frame
    document: Page[CorpusSummary]


@dataclass(frozen=True)
class CorpusPage:
    """The context of ``corpora/corpus.html``."""

    frame: Frame
    document: CorpusDocument
    delete_href: str


@dataclass(frozen=True)
class CorpusNeuronPage:
    """The context of ``corpora/neuron.html``."""

    frame: Frame
    does: Does
    json_href: str


def does(neuron: CorpusNeuron) -> Does:
    """The contents of `corpora/does.html`."""
    low = min(model.quantiles[0].value for model in neuron.models)
    high = max(model.quantiles[-1].value for model in neuron.models)
    width = high - low or 1.0

    def place(value: float) -> str:
        return f"{100 * (value - low) / width:.2f}%"

    def band(model: NeuronInModel) -> Band:
        first, fifth, quarter, median, three_quarters, nineteen, last = (each.value for each in model.quantiles)
        return Band(
            line=(place(first), place(last)),
            outer=(place(fifth), f"{100 * (nineteen - fifth) / width:.2f}%"),
            inner=(place(quarter), f"{100 * (three_quarters - quarter) / width:.2f}%"),
            median=place(median),
        )

    return Does(
        neuron=neuron,
        bands=[band(model) for model in neuron.models],
        low=low,
        high=high,
        zero=place(0.0) if low <= 0 <= high else None,
    )


def does_card(stores: Stores, dense: str, variant: str, layer: int, neuron: int) -> DoesCard:
    """What a neuron does over the newest corpus of the dense model that has its layer, beside the variant if the corpus
    was read with it."""
    found = corpora_of(stores, dense, MAX_OTHERS + 1)
    usable = [record for record in found if layer in record.summary["layers"] and neuron < record.summary["neurons"]]
    with_variant = [record for record in usable if variant in record.spec["models"]]
    form = urls.new_job(kind="corpus", models=f"{dense}, {variant}", dataset=DEFAULT_DATASET)
    chosen = next(iter(with_variant or usable), None)
    if chosen is None:
        return DoesCard(None, None, missing=False, others=[], form_href=form)
    labels = stores.names.corpora()
    others = [
        Link(label=labels.get(record.id) or record.id, href=urls.corpus_neuron(record.id, layer, neuron))
        for record in usable
        if record is not chosen
    ]
    try:
        shown, damaged = does(read_neuron(stores, chosen, layer, neuron, [variant])), None
    except Damaged as problem:
        shown, damaged = None, problem.detail
    return DoesCard(shown, damaged, missing=not with_variant, others=others, form_href=form)
