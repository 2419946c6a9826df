"""Jobs, and examples of their specs."""

from typing import Any

from prunescope.jobs.documents import JobKind, JobSummary, LogLine
from prunescope.jobs.references import DEMO
from prunescope.server.site.documents import Link

EXAMPLES: dict[JobKind, dict[str, object]] = {
    JobKind.PRUNE: {
        "model": DEMO,
        "method": {"name": "wanda"},
        "pattern": {"kind": "unstructured", "sparsity": 0.5},
        "calibration": {"dataset": "demo", "samples": 32, "seqlen": 128, "seed": 0},
    },
    JobKind.EVALUATE: {"model": DEMO, "tasks": ["reviews"], "limit": 100, "seed": 0},
    JobKind.ATTRIBUTE: {
        "dense": DEMO,
        "pruned": ["pruned:0123456789abcdef"],
        "texts": {"dataset": "reviews", "count": 10, "seed": 0},
        "prompt": "reviews",
        "words": {"source": "manual"},
        "activation": "relu",
        "permutations": 1000,
        "seed": 0,
    },
    JobKind.STUDY: {
        "name": "Two methods on the demo reviews",
        "models": [DEMO],
        "methods": [{"name": "wanda"}, {"name": "magnitude"}],
        "patterns": [{"kind": "unstructured", "sparsity": 0.5}, {"kind": "n_m", "n": 2, "m": 4}],
        "calibrations": [{"dataset": "demo", "samples": 32, "seqlen": 128, "seed": 0}],
        "tasks": ["reviews"],
        "attributions": [{"texts": {"dataset": "reviews", "count": 10, "seed": 0}}],
        "seeds": [0],
    },
}
"""A spec of each kind; all but the attribution's pruned model can be submitted as they are."""


class JobItem(JobSummary):
    """A job in lists, on the home page and in events, with the addresses of what can be done with it."""

    title: str  # "Prune demo · wanda · c4 · 0.5"
    href: str
    events_href: str
    result_href: str | None  # the page of what it made, once it is made
    can_cancel: bool
    can_retry: bool
    cancelling: bool  # asked to stop, not stopped yet
    study: Link | None  # the study whose cell it is


class JobDocument(JobItem):
    """A job with its whole spec; lists and events leave it out."""

    spec: dict[str, Any]


class JobDetail(JobDocument):
    """A job with its log and, for a study, its first cells."""

    log: list[LogLine]
    children: list[JobItem]  # the first of them, in the order of the plan
    children_total: int
    children_done: int  # how many of all of them have succeeded
    children_next_href: str | None  # the others (JSON)
