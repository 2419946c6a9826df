"""Checks a spec without submitting it."""

from collections.abc import Mapping
from typing import Any

from prunescope.jobs.bounds import MODEL_CONTEXT
from prunescope.jobs.documents import JobKind, artefact_id
from prunescope.jobs.references import references_of
from prunescope.server.jobs.commands import commands_of
from prunescope.server.jobs.queries import job_items
from prunescope.server.new_job.documents import JobCheck, Memory
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores
from prunescope.store import submission
from prunescope.store.model_sizes import ModelSize, model_size

HIDDEN_BYTES = 4
"""Bytes of a number of the hidden states, on a CPU; on a GPU they may be half as many."""


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
    size = sizes[largest]
    at_once = size.weights // size.layers if kind is JobKind.PRUNE and size.layers else size.weights
    hidden = _hidden(spec["calibration"], size) if kind is JobKind.PRUNE else None
    return Memory(model=Names(stores).label(largest), weights=size.weights, at_once=at_once, hidden=hidden)


def _hidden(calibration: Mapping[str, Any] | None, size: ModelSize) -> int | None:
    """The bytes of the hidden states of the calibration windows; None without windows, or if their number or length is
    not known before they are read."""
    if calibration is None or calibration["samples"] is None or size.width is None:
        return None
    seqlen = calibration["seqlen"] or (size.context and min(size.context, MODEL_CONTEXT))
    return seqlen and HIDDEN_BYTES * calibration["samples"] * seqlen * size.width
