"""What people call models and jobs."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from jobs.briefs import count_of
from jobs.documents import JobKind
from jobs.references import PRUNED
from jobs.specs import PruneSpec
from server import urls
from server.documents import Link
from server.stores import Stores


class Names:
    """Labels of models by reference, the pruned ones' looked up together in one question to the database."""

    def __init__(self, stores: Stores, references: Iterable[str] = ()) -> None:
        self._stores = stores
        self._labels: dict[str, str] = {}
        self.learn(references)

    def learn(self, references: Iterable[str]) -> None:
        """Look up those that are not known yet."""
        wanted = {ref.removeprefix(PRUNED) for ref in references if ref.startswith(PRUNED) and ref not in self._labels}
        made = self._stores.results.many("model", wanted) if wanted else {}
        for id in wanted:
            if id in made:
                self._labels[f"{PRUNED}{id}"] = str(made[id].summary.get("label") or id)
            elif job := self._stores.jobs.find(id):  # not made yet: its job says what it will be
                self._labels[f"{PRUNED}{id}"] = pruned_label(job.brief)

    def label(self, reference: str) -> str:
        """``wanda · c4 · 0.5`` of a pruned model, the last part of any other's name."""
        return self._labels.get(reference) or reference.rstrip("/").rpartition("/")[2] or reference

    def link(self, reference: str) -> Link:
        return Link(label=self.label(reference), href=urls.model(reference))

    def title(self, kind: JobKind, spec: Mapping[str, Any]) -> str:
        """One line for a job, from its spec or that in brief: ``Prune demo · wanda · c4 · 0.5``."""
        match kind:
            case JobKind.PRUNE:
                return f"Prune {self.label(spec['model'])} · {pruned_label(spec)}"
            case JobKind.EVALUATE:
                return f"Evaluate {self.label(spec['model'])} · {measured_label(spec)}"
            case JobKind.ATTRIBUTE:
                count = count_of(spec, "pruned")
                against = self.label(spec["pruned"][0]) if count == 1 else f"{count} variants"
                return f"Attribute {self.label(spec['dense'])} against {against} · {texts_label(spec)}"
            case JobKind.STUDY:
                return study_title(spec)


def references_of(spec: Mapping[str, Any]) -> list[str]:
    """Every model that a spec's document names."""
    named = [spec.get("model"), spec.get("dense"), *spec.get("pruned", ()), *spec.get("models", ())]
    return [name for name in named if isinstance(name, str)]


def pruned_label(spec: Mapping[str, Any]) -> str:
    """``wanda · c4 · 0.5``; ``pruned`` where the spec cannot be read any more."""
    try:
        return PruneSpec.model_validate(spec).label
    except ValidationError:
        return "pruned"


def texts_label(spec: Mapping[str, Any]) -> str:
    """Where an attribution's texts come from: the name of a task, chosen rows of it, or how many were given."""
    texts = spec.get("texts")
    if isinstance(texts, Mapping) and texts.get("dataset"):
        chosen = count_of(spec, "texts", "indices")
        return f"{chosen} row{'' if chosen == 1 else 's'} of {texts['dataset']}" if chosen else str(texts["dataset"])
    count = count_of(spec, "texts")
    return "1 text" if count == 1 else f"{count} texts"


def measured_label(spec: Mapping[str, Any]) -> str:
    """``sst2, yelp, perplexity on wikitext2``: what an evaluation measures."""
    texts = [name.rpartition("/")[2] for name in (spec.get("perplexity") or {}).get("datasets", ())]
    return ", ".join([*spec.get("tasks", ()), *([f"perplexity on {', '.join(texts)}"] if texts else [])])


def attribution_label(spec: Mapping[str, Any], names: Names) -> str:
    """``reviews · demo``."""
    return f"{texts_label(spec)} · {names.label(spec['dense'])}"


def study_title(spec: Mapping[str, Any]) -> str:
    """A study's name, or what it crosses."""
    if spec.get("name"):
        return str(spec["name"])
    counts = {field: count_of(spec, field) for field in ("models", "methods", "patterns", "calibrations", "tasks")}
    return "Study · " + " x ".join(f"{count} {_noun(field, count)}" for field, count in counts.items() if count)


def _noun(field: str, count: int) -> str:
    return field.removesuffix("s") if count == 1 else field
