"""Labels made from specs (pruned models, evaluations, attributions, studies), and `told_apart`, which adds settings to
equal labels until they differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from prunescope.jobs.bounds import DEFAULT_TEXTS
from prunescope.jobs.briefs import count_of
from prunescope.jobs.specs import PruneSpec

SEPARATOR = " · "
MAX_QUOTED = 40
"""Maximum number of characters of a text quoted in a label."""
MAX_ROWS = 5
"""Maximum number of rows, or of values of an axis, listed in a label."""
MAX_WORDS = 5
WORD_SOURCES = {
    "auto": "found automatically",
    "manual": "chosen by hand",
    "cot": "named by the model",
    "cot-free": "named in the model's free answer",
    "occlusion": "found by occlusion",
    "gradient": "found by gradient",
}
"""Word source -> its name on pages."""


def pruned_label(spec: Mapping[str, Any], otherwise: str = "pruned") -> str:
    """The label of a pruned model: `wanda · c4 128x2048 · 0.5`; ``otherwise`` if the spec is no longer valid."""
    try:
        return PruneSpec.model_validate(spec).label
    except ValidationError:
        return otherwise


def pruned_facts(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that a pruned model's label does not show: the path of its calibration file."""
    calibration = spec.get("calibration")
    file = calibration.get("file") if isinstance(calibration, Mapping) else None
    return (str(file or ""),)


def texts_label(spec: Mapping[str, Any]) -> str:
    """The source of an attribution's texts: `sst2`, `3 rows of sst2`, or, for given texts, `2 texts`."""
    texts = spec.get("texts")
    if isinstance(texts, Mapping) and texts.get("dataset"):
        chosen = count_of(spec, "texts", "indices")
        return f"{chosen} row{'' if chosen == 1 else 's'} of {texts['dataset']}" if chosen else str(texts["dataset"])
    count = count_of(spec, "texts")
    return "1 text" if count == 1 else f"{count} texts"


def attribution_facts(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """An attribution's settings in words, the most informative first; empty for one without effect."""
    words = spec.get("words") or {}
    source = str(words.get("source", "")) if isinstance(words, Mapping) else str(words)
    layers, causal = spec.get("layers"), spec.get("causal")
    return (
        _which_texts(spec),
        f"words {WORD_SOURCES.get(source, source)}",
        "content words only" if isinstance(words, Mapping) and words.get("content") else "",
        _which_words(spec.get("texts")),
        f"activation {spec.get('activation', 'relu')}",
        f"prompt {spec.get('prompt') or 'none'}",
        "all layers" if layers is None else f"layers {_listed(layers, MAX_ROWS)}",
        f"{spec['placebo']:,} placebo draws"
        if spec.get("placebo")
        else f"{spec.get('permutations', 0):,} permutations",
        f"run seed {spec.get('seed', 0)}",
        f"floor {spec.get('floor', 0.05):g}",
        "special tokens counted" if spec.get("special_tokens") else "",
        "position 0 and sinks counted" if spec.get("sinks", True) else "",
        f"causal on {causal['task']}" if isinstance(causal, Mapping) and "task" in causal else "",
    )


def _which_texts(spec: Mapping[str, Any]) -> str:
    texts = spec.get("texts")
    if isinstance(texts, Mapping):
        if rows := texts.get("indices"):
            return f"rows {_listed(rows, MAX_ROWS, count_of(spec, 'texts', 'indices'))}"
        return f"{texts.get('count', DEFAULT_TEXTS)} texts, seed {texts.get('seed', 0)}"
    first = texts[0] if isinstance(texts, list | tuple) and texts else ""
    return quoted(str(first.get("text", "")) if isinstance(first, Mapping) else str(first))


def _which_words(texts: object) -> str:
    """The first influential words given by the user."""
    rows = texts.get("words") if isinstance(texts, Mapping) else texts
    found: list[str] = []
    for row in rows if isinstance(rows, list | tuple) else ():
        words = row.get("words") if isinstance(row, Mapping) else row
        found += map(str, words if isinstance(words, list | tuple) else ())
    return _listed(found, MAX_WORDS)


def quoted(text: str) -> str:
    """The beginning of a text in quotes."""
    plain = " ".join(text[: 4 * MAX_QUOTED].split())
    return f"“{plain if len(plain) <= MAX_QUOTED else f'{plain[: MAX_QUOTED - 1]}…'}”"


def _listed(values: Iterable[object], most: int, count: int | None = None) -> str:
    """The first `most` values and the number of the others: `1, 2 and 8 more`. `count` is the number of all values, if
    only some are given."""
    named = [*map(str, values)]
    left = (len(named) if count is None else count) - most
    more = f" and {left} more" if left > 0 else ""
    return f"{', '.join(named[:most])}{more}"


def measured_label(spec: Mapping[str, Any]) -> str:
    """The label of an evaluation: `sst2, yelp, 200 rows each, perplexity on wikitext2 64x2048`."""
    parts = [*spec.get("tasks", ())]
    if parts and (limit := spec.get("limit")):
        rows = f"{limit:,} row{'' if limit == 1 else 's'}"
        parts.append(f"{rows} each" if len(parts) > 1 else rows)
        parts += [f"seed {spec['seed']}"] if spec.get("seed") else []
    parts += [r"\n as text"] if spec.get("newline") == "literal" else []
    perplexity = spec.get("perplexity") or {}
    if texts := [name.rpartition("/")[2] for name in perplexity.get("datasets", ())]:
        parts.append(f"perplexity on {', '.join(texts)}{_windows(perplexity)}")
    return ", ".join(parts)


def _windows(perplexity: Mapping[str, Any]) -> str:
    match perplexity.get("windows"), perplexity.get("seqlen"):
        case None, None:
            return ""
        case None, length:
            return f" in windows of {length}"
        case count, None:
            return f" in {count} windows"
        case count, length:
            return f" {count}x{length}"


def corpus_label(spec: Mapping[str, Any]) -> str:
    """The text of a corpus and how much of it is read at most: `c4, 100,000 tokens`."""
    return f"{str(spec.get('dataset', '')).rpartition('/')[2]}, {int(spec.get('tokens') or 0):,} tokens"


def corpus_facts(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """A corpus's settings in words, the most informative first; empty for one without effect."""
    layers = spec.get("layers")
    return (
        f"windows of {spec['seqlen']}" if spec.get("seqlen") else "",
        "all layers" if layers is None else f"layers {_listed(layers, MAX_ROWS)}",
        f"{spec.get('examples')} examples",
        "" if spec.get("writes", True) else "without written tokens",
        "position 0 and sinks counted" if spec.get("sinks") else "",
        f"seed {spec.get('seed', 0)}",
        str(spec.get("dataset")),
    )


def explained_label(spec: Mapping[str, Any]) -> str:
    """What an explanation explains: `arc_easy, 200 rows`, or `loss on wikitext2, 50 windows of 512`."""
    perplexity = spec.get("perplexity")
    limit = int(spec.get("limit") or 0)
    if isinstance(perplexity, Mapping):
        name = str(perplexity.get("dataset", "")).rpartition("/")[2]
        length = f" of {perplexity['seqlen']}" if perplexity.get("seqlen") else ""
        return f"loss on {name}, {limit:,} windows{length}"
    return f"{spec.get('task')}, {limit:,} rows"


def explanation_facts(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """An explanation's settings in words, the most informative first; empty for one without effect."""
    return (
        f"rows {spec.get('rows')}",
        "ranked by content" if spec.get("content") else "",
        "" if spec.get("heads", True) else "without heads",
        "position 0 counted" if spec.get("sinks") else "",
        f"best {_listed(spec.get('neurons') or (), MAX_ROWS, count_of(spec, 'neurons'))}",
        f"{spec.get('steps')} steps",
        f"{spec.get('draws')} draws",
        f"run seed {spec.get('seed', 0)}",
    )


def study_title(spec: Mapping[str, Any]) -> str:
    """A study's name, or the sizes of its axes: `Study · 1 model x 2 methods`."""
    return str(spec["name"]) if spec.get("name") else f"Study · {_crossed(spec)}"


def study_facts(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """A study's axes in words, by which studies with the same name can differ."""
    limit = spec.get("limit")
    lists = [_listed(map(_value, spec.get(field) or ()), MAX_ROWS, count_of(spec, field)) for field in _AXES]
    return (_crossed(spec), *lists, f"{limit:,} rows each" if limit else "all rows")


_AXES = ("models", "methods", "patterns", "calibrations", "tasks", "seqlens", "seeds")


def _crossed(spec: Mapping[str, Any]) -> str:
    counts = ((count_of(spec, field), field) for field in _AXES[:5])
    return " x ".join(f"{count} {field.removesuffix('s') if count == 1 else field}" for count, field in counts if count)


def _value(value: object) -> str:
    """A value of an axis as a short text."""
    if not isinstance(value, Mapping) or {"n", "m"} <= value.keys():
        return typed_pattern(value)
    first = (value.get(name) for name in ("name", "dataset", "file", "sparsity"))
    return str(next((each for each in first if each is not None), "")) + (
        f" {value['mode']}" if value.get("mode") == "single" else ""
    )


@dataclass(frozen=True)
class Described:
    """A name, and facts that `told_apart` can add to it, the most informative first; empty facts are never added. All
    arguments of one call have the same number of facts, and each has a unique last fact."""

    name: str
    facts: tuple[str, ...]


def told_apart(things: Sequence[Described]) -> list[str]:
    """A unique name for each: its name with the facts in which it differs from others of the same name, in their order.

    >>> told_apart([Described("wanda", ("c4", "1")), Described("wanda", ("ptb", "2")), Described("ria", ("c4", "3"))])
    ['wanda · c4', 'wanda · ptb', 'ria']
    """
    names = [thing.name for thing in things]
    for facts in zip(*(thing.facts for thing in things), strict=True):
        if len({*names}) == len(names):
            break
        told: dict[str, set[str]] = defaultdict(set)
        for name, fact in zip(names, facts, strict=True):
            told[name].add(fact)
        names = [
            f"{name}{SEPARATOR}{fact}" if fact and len(told[name]) > 1 else name
            for name, fact in zip(names, facts, strict=True)
        ]
    return names


def spec_fields(spec: Mapping[str, object], before: str = "") -> dict[str, str | int | float | None]:
    """A spec as fields of the form that starts a job: ``{"method.name": "wanda", ...}``."""
    fields: dict[str, str | int | float | None] = {}
    for name, value in spec.items():
        if name == "pattern" and isinstance(value, Mapping):
            value = typed_pattern(value)
        if isinstance(value, Mapping):
            fields |= spec_fields(value, f"{before}{name}.")
        elif value is None or isinstance(value, str | int | float):
            fields[f"{before}{name}"] = value
    return fields


def typed_pattern(value: object) -> str:
    """A pattern as a user types it: ``0.5`` or ``2:4``; any value that is not a JSON object as text."""
    if not isinstance(value, Mapping):
        return str(value)
    return f"{value['n']}:{value['m']}" if {"n", "m"} <= value.keys() else typed(value.get("sparsity"))


def typed(value: object) -> str:
    """A value as a user types it; empty for None and False."""
    if isinstance(value, bool):
        return "true" if value else ""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
