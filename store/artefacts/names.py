"""Names of the models, attributions, explanations, corpora and studies that have a record: unique within their kind,
the same on all pages.

Names are computed from specs instead of being stored, so that artefacts of older versions have unique names too. Each
spec is read once, since specs never change. When a record is added or deleted, only the names of records with the same
label are computed again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from prunescope.jobs.labels import (
    SEPARATOR,
    Described,
    attribution_facts,
    corpus_facts,
    corpus_label,
    explained_label,
    explanation_facts,
    pruned_facts,
    pruned_label,
    study_facts,
    study_title,
    texts_label,
    told_apart,
)
from prunescope.jobs.references import PRUNED, canonical_reference
from prunescope.jobs.settings import Settings
from prunescope.store.artefacts.records import Record, Results

Mark = tuple[int, datetime]
"""Number of records of a kind, and creation time of the newest."""
MAX_ONE_BY_ONE = 100
"""Maximum number of new records that are read by id; if there are more, all records are read in one query."""
_WITH_MODELS = frozenset({"attribution", "explanation", "corpus"})
"""Kinds of records whose names may contain names of models."""
_NO_RECORDS: Mark = (0, datetime.min)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class _Spec:
    """The parts of a record's spec from which its name is computed: label, references of its models, other settings."""

    name: str
    references: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """All records with the same label, by id, with their unique names; ``models`` are the model names in use then."""

    ids: list[str]
    models: Mapping[str, str]
    names: list[str]


@dataclass(frozen=True)
class _KindNames:
    """Id -> name of all records of a kind, with intermediate results; valid as long as the ``marks`` are the same."""

    marks: tuple[Mark, ...]
    specs: Mapping[str, _Spec]
    groups: Mapping[str, _Group]
    names: Mapping[str, str]


_NOT_YET = _KindNames((), _EMPTY, _EMPTY, _EMPTY)


class RecordNames:
    """Computes and caches the names. Thread-safe: cached objects are replaced, never changed."""

    def __init__(self, results: Results, settings: Settings) -> None:
        self._results, self._settings = results, settings
        self._named: dict[str, _KindNames] = {}

    def models(self) -> Mapping[str, str]:
        """Id -> name of every pruned model: `wanda · c4 128x2048 · 0.5`, with further settings if labels are equal."""
        return self._all("model")

    def attributions(self) -> Mapping[str, str]:
        """Id -> name of every attribution: `reviews · demo`, with further settings if labels are equal."""
        return self._all("attribution")

    def explanations(self) -> Mapping[str, str]:
        """Id -> name of every explanation: `arc_easy, 200 rows · demo`, with further settings if labels are equal."""
        return self._all("explanation")

    def corpora(self) -> Mapping[str, str]:
        """Id -> name of every corpus: `c4, 100,000 tokens · demo`, with further settings if labels are equal."""
        return self._all("corpus")

    def studies(self) -> Mapping[str, str]:
        """Id -> title of every study."""
        return self._all("study")

    def dense(self, reference: str) -> str:
        """The name of a model that is not ``pruned:<id>``: its reference in canonical spelling."""
        return canonical_reference(reference, self._settings)

    def model(self, reference: str, models: Mapping[str, str], otherwise: str) -> str:
        """The name of a model, given the result of `models()`; ``otherwise`` for a pruned model that is not in it."""
        if reference.startswith(PRUNED):
            return models.get(reference.removeprefix(PRUNED), otherwise)
        return self.dense(reference)

    def model_of(self, spec: Mapping[str, Any]) -> str:
        """The name of the model from which a pruned model was made; ``pruned:<id>`` if that model was pruned itself."""
        reference = str(spec.get("model"))
        return self.model(reference, _EMPTY, reference)

    def of_attribution(
        self, id: str, spec: Mapping[str, Any], references: Sequence[str], stored: Sequence[str]
    ) -> tuple[str, tuple[str, ...]]:
        """The names of an attribution and of its models. If it has no record, its name is computed from ``spec``."""
        marks = self._results.marks()
        labels = self.of_models(self._all("model", marks), references, stored)
        own = self._all("attribution", marks).get(id)
        return own or f"{texts_label(spec)}{SEPARATOR}{labels[0]}", labels

    def of_models(self, models: Mapping[str, str], references: Sequence[str], stored: Sequence[str]) -> tuple[str, ...]:
        """Unique names of an attribution's models, given the result of `models()`; for deleted pruned models, the names
        in ``stored``."""
        pairs = zip(references, stored, strict=True)
        return tuple(told_apart([Described(self.model(name, models, label), (name,)) for name, label in pairs]))

    def _all(self, kind: str, marks: Mapping[str, Mark] | None = None) -> Mapping[str, str]:
        marks = self._results.marks() if marks is None else marks
        mark = tuple(marks.get(each, _NO_RECORDS) for each in ((kind, "model") if kind in _WITH_MODELS else (kind,)))
        named = self._named.get(kind, _NOT_YET)
        if named.marks != mark:
            named = self._named[kind] = self._computed(kind, mark, named)
        return named.names

    def _computed(self, kind: str, marks: tuple[Mark, ...], before: _KindNames) -> _KindNames:
        ids = self._results.ids(kind)
        specs = {id: spec for id, spec in before.specs.items() if id in ids}
        missing = ids - specs.keys()
        all_at_once = len(missing) > MAX_ONE_BY_ONE
        found = self._results.everything(kind) if all_at_once else self._results.many(kind, missing).values()
        specs |= {record.id: self._described(record) for record in found if record.id in ids}
        models = self.models() if kind in _WITH_MODELS else _EMPTY
        alike: dict[str, list[str]] = defaultdict(list)
        for id in sorted(specs):  # so that names do not depend on the order of reading
            alike[specs[id].name].append(id)
        groups = {}
        for name, members in alike.items():
            same = before.groups.get(name)
            if same is None or same.ids != members or same.models is not models:
                same = _Group(members, models, told_apart(self._with_facts(specs, members, models)))
            groups[name] = same
        names = {id: name for group in groups.values() for id, name in zip(group.ids, group.names, strict=True)}
        if len(set(names.values())) < len(names):  # a name with added facts equals another label
            names = dict(zip(sorted(specs), told_apart(self._with_facts(specs, sorted(specs), models)), strict=True))
        return _KindNames(marks, specs, groups, MappingProxyType(names))

    def _with_facts(self, specs: Mapping[str, _Spec], ids: Sequence[str], models: Mapping[str, str]) -> list[Described]:
        # Computed once for each combination of models, since thousands of attributions share a few.
        against = {named: self._model_facts(named, models) for named in {specs[id].references for id in ids}}
        return [Described(specs[id].name, (*against[specs[id].references], *specs[id].facts, f"#{id}")) for id in ids]

    def _model_facts(self, references: Sequence[str], models: Mapping[str, str]) -> tuple[str, str]:
        if not references:
            return ("", "")
        names = [self.model(reference, models, reference) for reference in references]
        count = f"against {names[0]}" if len(names) == 1 else f"against {len(names)} models"
        return count, ", ".join(names)

    def _described(self, record: Record) -> _Spec:
        spec, made = record.spec, f"made {record.created_at:%Y-%m-%d}"
        match record.kind:
            case "model":
                name = pruned_label(spec, str(record.summary.get("label") or "pruned"))
                return _Spec(name, (), (f"of {self.model_of(spec)}", *pruned_facts(spec), made))
            case "attribution":
                name = f"{texts_label(spec)}{SEPARATOR}{self.dense(str(spec.get('dense')))}"
                return _Spec(name, tuple(map(str, spec.get("pruned") or ())), (*attribution_facts(spec), made))
            case "explanation":
                name = f"{explained_label(spec)}{SEPARATOR}{self.dense(str(spec.get('dense')))}"
                return _Spec(name, (str(spec.get("pruned")),), (*explanation_facts(spec), made))
            case "corpus":
                models = [str(reference) for reference in spec.get("models") or ()]
                name = f"{corpus_label(spec)}{SEPARATOR}{self.dense(models[0])}"
                return _Spec(name, tuple(models[1:]), (*corpus_facts(spec), made))
            case _:
                return _Spec(study_title(spec), (), (*study_facts(spec), made))
