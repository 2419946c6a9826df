"""Lists the attributions that can be compared with an attribution, and compares two of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from prunescope.jobs.labels import WORD_SOURCES
from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.attributions.documents import VariantSummary
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
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.store.attributions.comparison import Comparison, Top
from prunescope.text.words import fold

MAX_LISTED = 50
MAX_SHARED = 500
DEFAULT_TOP = "5%"
TOP_COUNTS = (10, 20, 50, 100, 200, 500, 1000)
TOP_SHARES = ("1%", "5%")


def comparable_attributions(stores: Stores, attribution: str) -> ComparableAttributions:
    """Return the other attributions of the same dense model and shape, newest first. Problem 404 if there is no such
    attribution."""
    own = stores.attributions.get(attribution)
    settings = _settings_of(own.spec, own.variants[1:])
    items: list[ComparableAttribution] = []
    same = stores.results.naming("attribution", [own.store.models[0]], field="dense", limit=MAX_LISTED + 1)
    records = {record.id: record for record in same}
    records.pop(attribution, None)
    for found in summaries_of(stores, records.values()):
        # A damaged attribution has the number of neurons 0.
        if len(items) == MAX_LISTED or found.neurons != own.store.neurons or not set(found.layers) & set(own.layers):
            continue
        others = _settings_of(records[found.id].spec, found.variants)
        items.append(
            ComparableAttribution(
                **found.model_dump(),
                differs=[name for name, value in settings.items() if value != others[name]],
                comparison_href=urls.comparison(attribution, found.id),
            )
        )
    dense = own.variants[0]
    return ComparableAttributions(
        items=items,
        attribution=Link(label=own.label, href=urls.attribution(attribution)),
        dense=Link(label=dense.label, href=dense.href),
        model=dense.model,
    )


def comparison_document(
    first: OpenAttribution, second: OpenAttribution, *, top: str | None = None
) -> ComparisonDocument:
    """Compare the top neurons of two attributions. Problem 422 if the attributions cannot be compared, or if ``top`` is
    neither a number nor a share; None is `DEFAULT_TOP`."""
    layers = _comparable_layers(first, second)
    try:
        chosen = Top.parse(top or DEFAULT_TOP)
    except ValueError as error:
        raise bad_field("top", top, "a number of neurons such as 50, or a share such as 5%", str(error)) from None
    compared = Comparison(first.store.score, second.store.score, layers)
    if not compared.population:
        raise _problem("no neuron is ranked in both of them: the Scores of neither say anything about the other's")
    by_layer, together = compared.by_layer(chosen)
    shared = compared.shared(chosen)[:MAX_SHARED]
    sizes = [Top(count=count) for count in TOP_COUNTS if 2 * count <= compared.population]
    sizes += [Top.parse(share) for share in TOP_SHARES]
    offered = [str(count) for count in TOP_COUNTS[:4] if 2 * count <= first.store.neurons]  # at most half of a layer
    state = None if top is None or str(chosen) == DEFAULT_TOP else str(chosen)
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
        tops=list(dict.fromkeys([*offered, *TOP_SHARES, str(chosen)])),
        over_all=[
            TopComparison(top=str(found.top), anywhere=found.anywhere, in_layers=found.in_layers)
            for found in map(compared.over_all, sorted(sizes, key=lambda size: size.of(compared.population)))
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
        shared_neurons=[
            SharedNeuron(
                layer=row.layer, neuron=row.neuron, name=row.name, first=first.row(row), second=second.row(other)
            )
            for row, other in zip(first.tables.rows(shared), second.tables.rows(shared), strict=True)
        ],
        href=urls.comparison(first.id, second.id, top=state),
        turned_href=urls.comparison(second.id, first.id, top=state),
    )


def _comparable_layers(first: OpenAttribution, second: OpenAttribution) -> list[int]:
    """Return the layers recorded by both; Problem 422 if the attributions cannot be compared."""
    if first.id == second.id:
        raise _problem("an attribution shares all of its neurons with itself; choose another one of the same model")
    models = [opened.store.models[0] for opened in (first, second)]
    if models[0] != models[1]:
        raise _problem(
            f"the first is of {models[0]}, the second of {models[1]}: neuron 7 of one model is not neuron 7 of "
            "another; choose two attributions of one dense model"
        )
    shapes = [(opened.store.layers, opened.store.neurons) for opened in (first, second)]
    if shapes[0] != shapes[1]:
        told = " and ".join(f"{layers} layers of {neurons} neurons" for layers, neurons in shapes)
        raise _problem(f"they are of models of two shapes, {told}: what {models[0]} names has changed between them")
    layers = sorted(set(first.layers) & set(second.layers))
    if not layers:
        told = " and ".join(", ".join(map(str, opened.layers)) for opened in (first, second))
        raise _problem(f"they recorded no layer in common: {told}; attribute again with a layer of both")
    return layers


def _problem(why: str) -> Problem:
    return Problem(422, "not-comparable", "These two cannot be compared", why)


def _settings_of(spec: Mapping[str, Any], pruned: Sequence[VariantSummary]) -> dict[str, str]:
    """Return the settings in an attribution's spec, name -> value as text."""
    words = spec.get("words") or {}
    layers = spec.get("layers")
    return {
        "Texts": _texts(spec.get("texts")),
        "Prompt": str(spec.get("prompt") or "none"),
        "Influential words": WORD_SOURCES.get(words.get("source", ""), str(words.get("source", ""))),
        "Activation": str(spec.get("activation", "relu")),
        "Special tokens": "in the sums" if spec.get("special_tokens") else "left out",
        "Position 0 and sinks": "in the sums" if spec.get("sinks", True) else "left out",
        "Denominator floor": f"{100 * float(spec.get('floor', 0.05)):g} %",
        "Layers": "all" if layers is None else ", ".join(map(str, layers)),
        "Placebo draws": f"{spec.get('placebo', 0):,}",
        "Permutations": f"{spec.get('permutations', 0):,}",
        "Seed": str(spec.get("seed", 0)),
        "Pruned models": ", ".join(variant.label for variant in pruned) or "none",
    }


def _texts(texts: object) -> str:
    if not isinstance(texts, Mapping):
        count = len(texts) if isinstance(texts, list | tuple) else 0
        return "1 own text" if count == 1 else f"{count} own texts"
    if texts.get("indices"):
        return f"rows {', '.join(map(str, texts['indices']))} of {texts['dataset']}"
    return f"{texts.get('count', 10)} of {texts.get('dataset')}, seed {texts.get('seed', 0)}"


def _settings(first: OpenAttribution, second: OpenAttribution) -> list[Setting]:
    """Return the settings of both attributions, and the counts of texts, words, tokens and neurons."""
    firsts, seconds = (
        {
            **_settings_of(opened.spec, opened.variants[1:]),
            "Texts used": f"{opened.summary.texts:,}",
            "Words found": f"{len(opened.tables.words_list):,}",
            "Influential tokens": f"{opened.summary.influential_tokens:,} of {opened.summary.tokens:,}",
            "Neurons ranked": f"{opened.summary.ranked:,}",
        }
        for opened in (first, second)
    )
    return [
        Setting(name=name, first=value, second=seconds[name], differs=value != seconds[name])
        for name, value in firsts.items()
    ]
