"""Checks a spec without submitting it."""

from collections.abc import Mapping
from typing import Any

from prunescope.jobs.documents import JobKind, artefact_id
from prunescope.jobs.references import references_of
from prunescope.server.jobs.commands import commands_of
from prunescope.server.jobs.queries import job_items
from prunescope.server.new_job.documents import JobCheck, Memory
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores
from prunescope.store import submission
from prunescope.store.model_sizes import model_size


def job_check(stores: Stores, kind: str, spec: dict[str, Any], *, force: bool, server: str) -> JobCheck:
    """What is known of a job before it is submitted. Raises Problem 422 as its submission would."""
    checked = submission.check(stores, kind, spec)
    name = artefact_id(checked.fingerprint)
    maker = None if force else stores.jobs.making([name]).get(name)
    canonical = checked.spec.model_dump(mode="json")
    request = {"kind": kind, "spec": spec, **({"force": True} if force else {})}
    return JobCheck(
        spec=canonical,
        known=None if maker is None else job_items(stores, [maker])[0],
        estimate=submission.estimate_checked(stores, checked, force=force),
        memory=_memory(stores, checked.kind, canonical),
        commands=commands_of(checked.spec, request, server),
    )


def _memory(stores: Stores, kind: JobKind, spec: Mapping[str, Any]) -> Memory | None:
    """The weights of the largest dense model that a spec names. Pruning has one decoder layer in memory at a time; all
    other stages have one model."""
    found = {reference: model_size(reference, stores.settings) for reference in references_of(spec)}
    sizes = {reference: size for reference, size in found.items() if size is not None}
    if not sizes:
        return None
    largest = max(sizes, key=lambda reference: sizes[reference].weights)
    weights, layers = sizes[largest].weights, sizes[largest].layers
    at_once = weights // layers if kind is JobKind.PRUNE and layers else weights
    return Memory(model=Names(stores).label(largest), weights=weights, at_once=at_once)
