"""The tasks that can be measured: where each is defined and what its rows must hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lm.errors import BadInput

SHIPPED_REVIEWS = Path(__file__).parents[1] / "demo" / "reviews.jsonl"


@dataclass(frozen=True)
class Task:
    """A multiple-choice task whose rows have one text field and one label field.

    `harness` is the task's YAML below lm_eval's own tasks; None means that `evaluation/tasks/<name>.yaml` defines it.
    `labels` are the values of the label field in the order of the task's choices. `shipped` is a file of rows that
    comes with the project and stands in for a hub.
    """

    name: str
    group: str
    text: str
    label: str
    labels: tuple[int, ...] | tuple[str, ...]
    harness: str | None = None
    shipped: Path | None = None


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("sst2", "sentiment", "sentence", "label", (0, 1), harness="glue/sst2/default.yaml"),
        Task("yelp", "sentiment", "text", "label", (0, 1)),
        Task("reviews", "sentiment", "text", "label", ("negative", "positive"), shipped=SHIPPED_REVIEWS),
    )
}


def find_task(name: str) -> Task:
    """The task of this name; BadInput lists the known ones, the nearest first."""
    if name not in TASKS:
        near = get_close_matches(name, TASKS, n=1)
        known = ", ".join([*near, *sorted(set(TASKS) - set(near))])
        raise BadInput(f"task {name!r} is not known; the tasks are {known}")
    return TASKS[name]
