"""Names of models, attributions and studies that have a record: unique within their kind, and the same on every page.

They are made from specs whenever they are asked for, so that artefacts of older versions, whose stored labels leave out
what differs, are told apart too. Specs never change, so each is read once. When records came or went, only the names of
records that would be called the same without facts are made anew.
"""

import threading
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
NONE: Mapping[str, str] = MappingProxyType({})


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


class RecordNames:
    """Makes and caches the names; safe to use from several threads."""

    def __init__(self, results: Results, settings: Settings) -> None:
        self._results, self._settings = results, settings
        self._lock = threading.Lock()
        self._specs: dict[str, dict[str, _Spec]] = {"model": {}, "attribution": {}, "study": {}}
        self._groups: dict[str, dict[str, _Group]] = {"model": {}, "attribution": {}, "study": {}}
        self._names: dict[str, tuple[tuple[Mark, ...], Mapping[str, str]]] = {}

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

    def model(self, reference: str, stored: str | None = None) -> str:
        """The name of a model by its reference; ``stored`` is what to call a pruned one that is gone."""
        if not reference.startswith(PRUNED):
            return self.dense(reference)
        return self.models().get(reference.removeprefix(PRUNED)) or stored or reference

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
        labels = [
            models.get(reference.removeprefix(PRUNED), label) if reference.startswith(PRUNED) else self.dense(reference)
            for reference, label in zip(references, stored, strict=True)
        ]
        return tuple(
            told_apart([Described(*each) for each in zip(labels, ((name,) for name in references), strict=True)])
        )

    def _all(self, kind: str, marks: Mapping[str, Mark] | None = None) -> Mapping[str, str]:
        marks = self._results.marks() if marks is None else marks
        # An attribution's name may name its models.
        mark = tuple(marks.get(each, NOTHING) for each in ((kind, "model") if kind == "attribution" else (kind,)))
        with self._lock:
            known = self._names.get(kind)
        if known is not None and known[0] == mark:
            return known[1]
        names = MappingProxyType(self._made(kind))
        with self._lock:
            self._names[kind] = (mark, names)
        return names

    def _made(self, kind: str) -> dict[str, str]:
        ids = self._results.ids(kind)
        with self._lock:
            known = {id: spec for id, spec in self._specs[kind].items() if id in ids}
        missing = [id for id in ids if id not in known]
        all_at_once = len(missing) > MAX_ONE_BY_ONE
        found = self._results.everything(kind) if all_at_once else self._results.many(kind, missing).values()
        known |= {record.id: self._described(record) for record in found if record.id in ids}
        with self._lock:
            self._specs[kind] = known
            before = self._groups[kind]
        models = self.models() if kind == "attribution" else NONE
        alike: dict[str, list[str]] = defaultdict(list)
        for id in sorted(known):  # names do not depend on what was read first
            alike[known[id].name].append(id)
        groups = {}
        for name, members in alike.items():
            same = before.get(name)
            if same is None or same.ids != members or same.models is not models:
                same = _Group(members, models, told_apart(self._things(known, members, models)))
            groups[name] = same
        with self._lock:
            self._groups[kind] = groups
        names = {id: name for group in groups.values() for id, name in zip(group.ids, group.names, strict=True)}
        if len(set(names.values())) < len(names):  # a name with its facts is the whole name of another
            names = dict(zip(sorted(known), told_apart(self._things(known, sorted(known), models)), strict=True))
        return names

    def _things(self, known: Mapping[str, _Spec], ids: Sequence[str], models: Mapping[str, str]) -> list[Described]:
        # Thousands of attributions are of a few pruned models.
        against = {named: self._against(named, models) for named in {known[id].references for id in ids}}
        return [Described(known[id].name, (*against[known[id].references], *known[id].facts, f"#{id}")) for id in ids]

    def _against(self, references: Sequence[str], models: Mapping[str, str]) -> tuple[str, str]:
        if not references:
            return ("", "")
        names = [
            models.get(reference.removeprefix(PRUNED), reference)
            if reference.startswith(PRUNED)
            else self.dense(reference)
            for reference in references
        ]
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

    def model_of(self, spec: Mapping[str, Any]) -> str:
        """The model that a pruned model was made from; a pruned one by its reference."""
        reference = str(spec.get("model"))
        return reference if reference.startswith(PRUNED) else self.dense(reference)
