"""Names of models, attributions and studies that have a record: unique within their kind, and the same on every page.

They are made from specs whenever they are asked for, so that artefacts of older versions, whose stored labels leave out
what differs, are told apart too. Specs never change, so each is read once. When records came or went, only the names of
records that would be called the same without facts are made anew.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from prunescope.jobs.references import PRUNED, canonical_reference
from prunescope.jobs.settings import Settings
from prunescope.server.labels import (
    SEPARATOR,
    Described,
    attribution_facts,
    pruned_facts,
    pruned_label,
    study_facts,
    study_title,
    texts_label,
    told_apart,
)
from prunescope.store.artefacts.records import Record, Results

Mark = tuple[int, datetime]
"""How many records of a kind there are, and when the newest was made."""
MAX_ONE_BY_ONE = 100
"""More new records than so many are read with all others in one question to the database."""
NOTHING: Mark = (0, datetime.min)
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class _Spec:
    """The part of a record that its name is made from; own texts may be long, so only their beginning is kept."""

    name: str
    references: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """The names of all records that would have the same name without facts, in the order of their ids."""

    ids: list[str]
    models: Mapping[str, str]
    names: list[str]


@dataclass(frozen=True)
class _Named:
    """Id -> name of all records of a kind, with what they were made from; ``marks`` say which records there were."""

    marks: tuple[Mark, ...]
    specs: Mapping[str, _Spec]
    groups: Mapping[str, _Group]
    names: Mapping[str, str]


_NOT_YET = _Named((), NONE, NONE, NONE)


class RecordNames:
    """Makes and caches the names; safe to use from several threads, since what is cached is replaced and never
    changed."""

    def __init__(self, results: Results, settings: Settings) -> None:
        self._results, self._settings = results, settings
        self._named: dict[str, _Named] = {}

    def models(self) -> Mapping[str, str]:
        """Id -> name of every pruned model: `wanda · c4 128x2048 · 0.5`, and what it was made from where another one
        was pruned alike."""
        return self._all("model")

    def attributions(self) -> Mapping[str, str]:
        """Id -> name of every attribution: `reviews · demo`, and the settings that differ where there are others."""
        return self._all("attribution")

    def studies(self) -> Mapping[str, str]:
        """Id -> title of every study."""
        return self._all("study")

    def dense(self, reference: str) -> str:
        """The name of a model that was not pruned here: its reference, in the shortest spelling."""
        return canonical_reference(reference, self._settings)

    def model(self, reference: str, models: Mapping[str, str], otherwise: str) -> str:
        """The name of a model by its reference; ``otherwise`` is that of a pruned one that is not in ``models``
        (`models()`)."""
        if reference.startswith(PRUNED):
            return models.get(reference.removeprefix(PRUNED), otherwise)
        return self.dense(reference)

    def model_of(self, spec: Mapping[str, Any]) -> str:
        """The model that a pruned model was made from; a pruned one by its reference."""
        reference = str(spec.get("model"))
        return self.model(reference, NONE, reference)

    def of_attribution(
        self, id: str, spec: Mapping[str, Any], references: Sequence[str], stored: Sequence[str]
    ) -> tuple[str, tuple[str, ...]]:
        """The names of an attribution and of its models; for one without a record they come from its own documents."""
        marks = self._results.marks()
        labels = self.of_models(self._all("model", marks), references, stored)
        own = self._all("attribution", marks).get(id)
        return own or f"{texts_label(spec)}{SEPARATOR}{labels[0]}", labels

    def of_models(self, models: Mapping[str, str], references: Sequence[str], stored: Sequence[str]) -> tuple[str, ...]:
        """The names of an attribution's models, no two alike: of pruned ones those in ``models`` (`models()`), of ones
        that are gone those in ``stored``."""
        pairs = zip(references, stored, strict=True)
        return tuple(told_apart([Described(self.model(name, models, label), (name,)) for name, label in pairs]))

    def _all(self, kind: str, marks: Mapping[str, Mark] | None = None) -> Mapping[str, str]:
        marks = self._results.marks() if marks is None else marks
        # An attribution's name may name its models.
        mark = tuple(marks.get(each, NOTHING) for each in ((kind, "model") if kind == "attribution" else (kind,)))
        named = self._named.get(kind, _NOT_YET)
        if named.marks != mark:
            named = self._named[kind] = self._made(kind, mark, named)
        return named.names

    def _made(self, kind: str, marks: tuple[Mark, ...], before: _Named) -> _Named:
        ids = self._results.ids(kind)
        specs = {id: spec for id, spec in before.specs.items() if id in ids}
        missing = ids - specs.keys()
        all_at_once = len(missing) > MAX_ONE_BY_ONE
        found = self._results.everything(kind) if all_at_once else self._results.many(kind, missing).values()
        specs |= {record.id: self._described(record) for record in found if record.id in ids}
        models = self.models() if kind == "attribution" else NONE
        alike: dict[str, list[str]] = defaultdict(list)
        for id in sorted(specs):  # names do not depend on what was read first
            alike[specs[id].name].append(id)
        groups = {}
        for name, members in alike.items():
            same = before.groups.get(name)
            if same is None or same.ids != members or same.models is not models:
                same = _Group(members, models, told_apart(self._things(specs, members, models)))
            groups[name] = same
        names = {id: name for group in groups.values() for id, name in zip(group.ids, group.names, strict=True)}
        if len(set(names.values())) < len(names):  # a name with its facts is the whole name of another
            names = dict(zip(sorted(specs), told_apart(self._things(specs, sorted(specs), models)), strict=True))
        return _Named(marks, specs, groups, MappingProxyType(names))

    def _things(self, specs: Mapping[str, _Spec], ids: Sequence[str], models: Mapping[str, str]) -> list[Described]:
        # Thousands of attributions are of a few pruned models.
        against = {named: self._against(named, models) for named in {specs[id].references for id in ids}}
        return [Described(specs[id].name, (*against[specs[id].references], *specs[id].facts, f"#{id}")) for id in ids]

    def _against(self, references: Sequence[str], models: Mapping[str, str]) -> tuple[str, str]:
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
            case _:
                return _Spec(study_title(spec), (), (*study_facts(spec), made))
