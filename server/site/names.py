"""Names of models by reference, titles of jobs, and the link to a record's job."""

from collections.abc import Iterable, Mapping
from typing import Any

from prunescope.jobs.briefs import count_of
from prunescope.jobs.documents import JobKind, JobSummary
from prunescope.jobs.labels import (
    attribution_facts,
    corpus_facts,
    corpus_label,
    explained_label,
    explanation_facts,
    measured_label,
    pruned_label,
    study_title,
    texts_label,
)
from prunescope.jobs.references import PRUNED, references_of
from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.records import Record


class Names:
    """Looks up names of models by reference. The name of a pruned model that does not exist yet is the label of its
    job's spec."""

    def __init__(self, stores: Stores, references: Iterable[str] = ()) -> None:
        self._stores = stores
        self._labels: dict[str, str] = {}
        self._jobs: dict[str, JobSummary | None] = {}
        self._models: Mapping[str, str] | None = None  # read once, when the first pruned model is looked up
        self.learn(references)

    def learn(self, references: Iterable[str]) -> None:
        """Look up the names of several models at once, which takes fewer queries than one by one."""
        wanted = {*references} - self._labels.keys()
        pruned = {reference for reference in wanted if reference.startswith(PRUNED)}
        if pruned and self._models is None:
            self._models = self._stores.names.models()
        models = self._models or {}
        self._labels |= {each: self._stores.names.model(each, models, otherwise=each) for each in wanted}
        missing = [reference for reference in pruned if reference.removeprefix(PRUNED) not in models]
        self._labels |= {reference: pruned_label(job.brief) for reference, job in self._makers(missing).items()}

    def _makers(self, references: Iterable[str]) -> dict[str, JobSummary]:
        """Reference -> the job that makes or made it, for pruned models that have a job; all are read in one query."""
        new = [name for name in references if name.startswith(PRUNED) and name not in self._jobs]
        if new:
            found = self._stores.jobs.making(name.removeprefix(PRUNED) for name in new)
            self._jobs |= {name: found.get(name.removeprefix(PRUNED)) for name in new}
        known = ((name, self._jobs.get(name)) for name in references)
        return {name: job for name, job in known if job is not None}

    def label(self, reference: str) -> str:
        """The name of a model: `wanda · c4 128x2048 · 0.5` if pruned, else its reference."""
        if reference not in self._labels:
            self.learn([reference])
        return self._labels[reference]

    def link(self, reference: str) -> Link:
        return Link(label=self.label(reference), href=urls.model(reference))

    def title(self, kind: JobKind, spec: Mapping[str, Any]) -> str:
        """The title of a job, from its spec or brief: `Prune demo · wanda · c4 128x2048 · 0.5`."""
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
            case JobKind.EXPLAIN:
                names = f"{self.label(spec['dense'])} against {self.label(spec['pruned'])}"
                return f"Explain {names} · {explained_label(spec)}"
            case JobKind.CORPUS:
                others = count_of(spec, "models") - 1
                more = f" and {others} {'variant' if others == 1 else 'variants'}" if others else ""
                return f"Read {corpus_label(spec)} with {self.label(spec['models'][0])}{more}"

    def facts(self, kind: JobKind, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """Settings of a job that its title does not show, to tell apart jobs with the same title."""
        if kind is JobKind.ATTRIBUTE:
            return (*attribution_facts(spec), ", ".join(map(self.label, spec["pruned"])))
        if kind is JobKind.EXPLAIN:
            return explanation_facts(spec)
        if kind is JobKind.CORPUS:
            return (*corpus_facts(spec), ", ".join(map(self.label, spec["models"])))
        bases = [self._base_fact(reference) for reference in references_of(spec)] if kind is JobKind.EVALUATE else []
        return (", ".join(filter(None, bases)),)

    def _base_fact(self, reference: str) -> str:
        """``of <name>`` with the model from which a pruned model is made; empty if the model has no job."""
        job = self._makers({reference, *self._labels}).get(reference)
        return f"of {self._stores.names.model_of(job.brief)}" if job else ""


def job_link(record: Record) -> Link | None:
    """The link to the job that made a record; None if no job did."""
    return Link(label="Job", href=urls.job(record.job)) if record.job else None
