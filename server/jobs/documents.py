"""The JSON documents of jobs, and an example spec of each kind."""

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
    JobKind.EXPLAIN: {
        "dense": DEMO,
        "pruned": "pruned:0123456789abcdef",
        "task": "reviews",
        "rows": "broken",
        "limit": 200,
        "seed": 0,
    },
    JobKind.CORPUS: {"models": [DEMO], "dataset": "demo", "tokens": 10000, "examples": 10, "writes": True, "seed": 0},
}
"""An example spec of each kind of job. Valid, except that the pruned model of the attribution and the explanation does
not exist."""


class JobItem(JobSummary):
    """A job in lists and events, with its addresses and the actions that its state allows."""

    title: str  # "Prune demo · wanda · c4 · 0.5"
    href: str
    events_href: str
    result_href: str | None  # page of the result; None until the job has succeeded (a study has its page at once)
    can_cancel: bool
    can_retry: bool
    cancelling: bool  # whether cancellation was requested and the job has not stopped yet
    study: Link | None  # the job of the study to which this cell belongs


class JobDocument(JobItem):
    """A job with its complete spec, which lists and events omit."""

    spec: dict[str, Any]


class JobDetail(JobDocument):
    """A job with its log and, for a study, the jobs of its first cells."""

    log: list[LogLine]
    ahead: int | None  # queued jobs that were submitted earlier; None if this one is not queued
    children: list[JobItem]  # the first cells, in the order of the grid
    children_total: int
    children_done: int  # number of succeeded cells
    children_next_href: str | None  # address of the other cells (JSON)
