"""docs/tasks.md says of every task what the catalogue has."""

import re
from pathlib import Path

from prunescope.evaluation.catalogue import TASKS, Task
from prunescope.evaluation.harness import configuration, hub_source

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")


def where(task: Task) -> str:
    if task.shipped is not None:
        return "ships"
    if task.local is not None:
        return "local file only"
    source = hub_source(configuration(task))
    return f"{source.path}{f' {source.name}' if source.name else ''}, {source.split}"


def test_the_table_of_tasks_is_the_catalogue() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    tasks = [row for row in rows if len(row) == 6][2:]
    assert [row[:2] for row in tasks] == [[task.group, f"`{name}`"] for name, task in TASKS.items()]
    for _, name, definition, hub, _, fields in tasks:
        task = TASKS[name.strip("`")]
        assert definition == ("own" if task.harness is None else f"`{task.harness}`")
        assert hub == where(task)
        assert set(re.findall(r"`(\w+)`", fields)) == set(task.forms[0].fields)


def test_every_task_has_its_prompt_there() -> None:
    prompts = PAGE[PAGE.index("## Prompts") : PAGE.index("## Local files")]
    first = [line.split("|")[1] for line in prompts.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first))) == set(TASKS)
