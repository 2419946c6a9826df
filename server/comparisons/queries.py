"""Reads what an attribution can be compared with, and compares two of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.queries import attribution_summary, summaries_of
from prunescope.server.comparisons.documents import (
    ComparableAttribution,
    ComparableAttributions,
    ComparisonDocument,
    LayerComparison,
    Setting,
    SharedNeuron,
    TopComparison,
)
from prunescope.server.labels import WORD_SOURCES
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.store.attributions.comparison import Comparison, Top
from prunescope.text.words import fold

MAX_LISTED = 50
MAX_SHARED = 500
TOP = "5%"
COUNTS = (10, 20, 50, 100, 200, 500, 1000)
SHARES = ("1%", "5%")


def comparable_attributions(stores: Stores, attribution: str) -> ComparableAttributions:
    """The other attributions of the same dense model and shape, newest first. Problem 404."""
    own = stores.attributions.get(attribution)
    mine = settings_of(own.spec, [variant.label for variant in own.variants[1:]])
    items: list[ComparableAttribution] = []
    same = stores.results.naming("attribution", [own.store.models[0]], field="dense", limit=MAX_LISTED + 1)
    records = {record.id: record for record in same}
    records.pop(attribution, None)
    for found in summaries_of(stores, records.values()):
        # A damaged attribution has the number of neurons 0.
        if len(items) == MAX_LISTED or found.neurons != own.store.neurons or not set(found.layers) & set(own.layers):
            continue
        theirs = settings_of(records[found.id].spec, [variant.label for variant in found.variants])
        items.append(
            ComparableAttribution(
                **found.model_dump(),
                differs=[name for name in mine if mine[name] != theirs[name]],
                comparison_href=urls.comparison(attribution, found.id),
            )
        )
    link = Link(label=own.label, href=urls.attribution(attribution))
    dense = own.variants[0]
    return ComparableAttributions(
        items=items, attribution=link, dense=Link(label=dense.label, href=dense.href), model=dense.model
    )


def comparison_document(
    first: OpenAttribution, second: OpenAttribution, *, top: str | None = None
) -> ComparisonDocument:
    """The overlap of two attributions' best neurons. Problem 422 where they have nothing that could be compared, and
    for a ``top`` that is neither a number nor a share."""
    layers = _comparable_layers(first, second)
    try:
        chosen = Top.parse(top or TOP)
    except ValueError as error:
        raise bad_field("top", top, "a number of neurons such as 50, or a share such as 5%", str(error)) from None
    compared = Comparison(first.store.score, second.store.score, layers)
    if not compared.population:
        raise _refused("no neuron is ranked in both of them: the Scores of neither say anything about the other's")
    by_layer, together = compared.by_layer(chosen)
    state = None if top is None or str(chosen) == TOP else str(chosen)
    texts = [{example.text for example in opened.examples} for opened in (first, second)]
    words = [{fold(word) for word in opened.tables.words_list} for opened in (first, second)]
    return ComparisonDocument(
        first=attribution_summary(first),
        second=attribution_summary(second),
        settings=_settings(first, second),
        texts_in_both=len(texts[0] & texts[1]),
        words_in_both=sorted(words[0] & words[1]),
        layers=layers,
        population=compared.population,
        top=str(chosen),
        tops=_tops(first.store.neurons, chosen),
        over_all=[
            TopComparison(top=str(found.top), anywhere=found.anywhere, in_layers=found.in_layers)
            for found in map(compared.over_all, _sizes(compared.population))
        ],
        correlation=compared.correlation(),
        layer_list=[
            LayerComparison(
                **vars(row),
                first_href=urls.layer(first.id, row.layer),
                second_href=urls.layer(second.id, row.layer),
            )
            for row in by_layer
        ],
        together=together,
        shared_neurons=_shared(first, second, compared.shared(chosen)[:MAX_SHARED]),
        href=urls.comparison(first.id, second.id, top=state),
        turned_href=urls.comparison(second.id, first.id, top=state),
    )


def _comparable_layers(first: OpenAttribution, second: OpenAttribution) -> list[int]:
    """The layers that both recorded; Problem 422 where there is nothing to compare."""
    if first.id == second.id:
        raise _refused("an attribution shares all of its neurons with itself; choose another one of the same model")
    models = [opened.store.models[0] for opened in (first, second)]
    if models[0] != models[1]:
        raise _refused(
            f"the first is of {models[0]}, the second of {models[1]}: neuron 7 of one model is not neuron 7 of "
            "another; choose two attributions of one dense model"
        )
    shapes = [(opened.store.layers, opened.store.neurons) for opened in (first, second)]
    if shapes[0] != shapes[1]:
        told = " and ".join(f"{layers} layers of {neurons} neurons" for layers, neurons in shapes)
        raise _refused(f"they are of models of two shapes, {told}: what {models[0]} names has changed between them")
    layers = sorted(set(first.layers) & set(second.layers))
    if not layers:
        told = " and ".join(", ".join(map(str, opened.layers)) for opened in (first, second))
        raise _refused(f"they recorded no layer in common: {told}; attribute again with a layer of both")
    return layers


def _refused(why: str) -> Problem:
    return Problem(422, "not-comparable", "These two cannot be compared", why)


def settings_of(spec: Mapping[str, Any], variants: Sequence[str]) -> dict[str, str]:
    """The settings of an attribution in words, by name; ``variants`` are its pruned models' labels."""
    words = spec.get("words") or {}
    layers = spec.get("layers")
    return {
        "Texts": _texts(spec.get("texts")),
        "Prompt": str(spec.get("prompt") or "none"),
        "Influential words": WORD_SOURCES.get(words.get("source", ""), str(words.get("source", ""))),
        "Activation": str(spec.get("activation", "relu")),
        "Special tokens": "in the sums" if spec.get("special_tokens") else "left out",
        "Denominator floor": f"{100 * float(spec.get('floor', 0.05)):g} %",
        "Layers": "all" if layers is None else ", ".join(map(str, layers)),
        "Permutations": f"{spec.get('permutations', 0):,}",
        "Seed": str(spec.get("seed", 0)),
        "Pruned models": ", ".join(variants) or "none",
    }


def _texts(texts: object) -> str:
    if not isinstance(texts, Mapping):
        count = len(texts) if isinstance(texts, list | tuple) else 0
        return "1 own text" if count == 1 else f"{count} own texts"
    if texts.get("indices"):
        return f"rows {', '.join(map(str, texts['indices']))} of {texts['dataset']}"
    return f"{texts.get('count', 10)} of {texts.get('dataset')}, seed {texts.get('seed', 0)}"


def _settings(first: OpenAttribution, second: OpenAttribution) -> list[Setting]:
    """What both attributions were asked for, and what was found."""
    told, others = (
        {
            **settings_of(opened.spec, [variant.label for variant in opened.variants[1:]]),
            "Texts used": f"{opened.summary.texts:,}",
            "Words found": f"{len(opened.tables.words_list):,}",
            "Influential tokens": f"{opened.summary.influential_tokens:,} of {opened.summary.tokens:,}",
            "Neurons ranked": f"{opened.summary.ranked:,}",
        }
        for opened in (first, second)
    )
    return [
        Setting(name=name, first=value, second=others[name], differs=value != others[name])
        for name, value in told.items()
    ]


def _tops(neurons: int, chosen: Top) -> list[str]:
    """Sizes that leave at least half of a layer out, and the one that was asked for."""
    offered = [str(count) for count in COUNTS[:4] if 2 * count <= neurons] + list(SHARES)
    return offered if str(chosen) in offered else [*offered, str(chosen)]


def _sizes(population: int) -> list[Top]:
    sizes = [Top(count=count) for count in COUNTS if 2 * count <= population] + [Top.parse(share) for share in SHARES]
    return sorted(sizes, key=lambda top: top.of(population))


def _shared(first: OpenAttribution, second: OpenAttribution, places: Sequence[tuple[int, int]]) -> list[SharedNeuron]:
    rows = [opened.tables.rows(places) for opened in (first, second)]
    return [
        SharedNeuron(layer=one.layer, neuron=one.neuron, name=one.name, first=first.row(one), second=second.row(other))
        for one, other in zip(*rows, strict=True)
    ]
