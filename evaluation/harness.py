"""Task definitions, prompts, choices and answers from lm-evaluation-harness 0.4.13.

Import this module inside functions only, because importing the harness takes a second; no other module imports the
harness. A task's YAML file is read by its path, because building the harness's index of all tasks takes seconds.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Literal

import datasets
import lm_eval.tasks
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from prunescope.evaluation.catalogue import Task
from prunescope.evaluation.forms import Row
from prunescope.evaluation.rows import HubSource
from prunescope.lm.errors import BadInput

Newline = Literal["real", "literal"]
"""The line end in prompts of the paper's Figure 1: a line break (`real`), or a backslash and an n as in the paper
(`literal`)."""

PROMPT_FIELDS = ("description", "process_docs", "doc_to_text", "doc_to_choice", "doc_to_target", "target_delimiter")


@dataclass(frozen=True)
class Question:
    """One row as a question: for each choice a prompt, and the continuation whose log-likelihood is computed.

    In most tasks all choices have the same prompt and different continuations. In winogrande and wsc273 each choice has
    its own prompt, and all have the same continuation, the rest of the sentence. In paws the prompts are empty. `text`
    is the row for display: the prompt, or the sentence with a blank `_` where the choices differ. `answer` is the index
    of the correct choice; `index` is the row's index in its file or split, from 0.
    """

    index: int
    text: str
    prompts: tuple[str, ...]
    continuations: tuple[str, ...]
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class Questionnaire:
    """The questions of a task, the version of its definition, and the SHA-256 of its prompt's definition."""

    version: str
    prompt_hash: str
    questions: tuple[Question, ...]


class _LocalRowsTask(ConfigurableTask):  # type: ignore[misc]  # the harness has no types
    """A harness task over rows in memory, which downloads nothing and writes no cache."""

    def __init__(self, config: dict[str, Any], rows: list[Row]) -> None:
        self._rows = datasets.Dataset.from_list(rows)
        self._row: Row | None = None
        self._made: dict[str, Any] = {}
        super().__init__(config=config)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.dataset = {"rows": self._rows}

    # The results are cached for the current row, because the harness calls each of these methods two or three times per
    # row and compiles the template every time.

    def doc_to_text(self, doc: Row, doc_to_text: Any = None) -> Any:
        return super().doc_to_text(doc, doc_to_text) if doc_to_text else self._once(doc, super().doc_to_text)

    def doc_to_target(self, doc: Row, doc_to_target: Any = None) -> Any:
        return super().doc_to_target(doc, doc_to_target) if doc_to_target else self._once(doc, super().doc_to_target)

    def doc_to_choice(self, doc: Row, doc_to_choice: Any = None) -> Any:
        return super().doc_to_choice(doc, doc_to_choice) if doc_to_choice else self._once(doc, super().doc_to_choice)

    def _once(self, doc: Row, make: Callable[[Row], Any]) -> Any:
        if doc is not self._row:
            self._row, self._made = doc, {}
        if make.__name__ not in self._made:
            self._made[make.__name__] = make(doc)
        return self._made[make.__name__]


def configuration(task: Task, newline: Newline = "real") -> dict[str, Any]:
    """The task's YAML file as parsed by the harness, with the task's `changes`. `newline` has an effect only on tasks
    with the prompt of Figure 1. Raises BadInput for an unknown `newline`."""
    if newline not in ("real", "literal"):
        raise BadInput(f"newline {newline!r} is not known; it is real or literal")
    if task.harness is not None:
        definition = Path(lm_eval.tasks.__file__).parent / task.harness
    else:
        definition = Path(__file__).parent / "tasks" / f"{task.name}.yaml"
    config: dict[str, Any] = {**load_yaml(definition), **task.changes}
    if newline == "literal" and task.figure_1:
        config["doc_to_text"] = config["doc_to_text"].replace("\n", "\\n")
    return config


def hub_source(config: dict[str, Any]) -> HubSource:
    """The dataset and split that the task's YAML file names: the test split if there is one, else the validation
    split."""
    split = config.get("test_split") or config["validation_split"]
    revision = (config.get("dataset_kwargs") or {}).get("revision")
    return HubSource(config["dataset_path"], config.get("dataset_name"), split, revision)


def ask(config: dict[str, Any], rows: list[Row], *, limit: int | None = None, seed: int = 0) -> Questionnaire:
    """Render every row, or the first `limit` rows, as a zero-shot question.

    `seed` has an effect only on tasks that draw examples for their prompt; at present no task does.
    """
    elsewhere = {"dataset_kwargs": None, "training_split": None, "validation_split": None, "fewshot_split": None}
    with _quiet():
        task = _LocalRowsTask({**config, **elsewhere, "test_split": "rows", "num_fewshot": 0}, rows)
        task.set_fewshot_seed(seed)
        questions = tuple(_question(task, index, doc) for index, doc in islice(enumerate(task.eval_docs), limit))
    definition = {field: value for field, value in task.dump_config().items() if field in PROMPT_FIELDS}
    prompt_hash = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    return Questionnaire(str(task.VERSION), prompt_hash, questions)


def _question(task: ConfigurableTask, index: int, doc: Row) -> Question:
    prompt = task.fewshot_context(doc=doc, num_fewshot=0)
    requests = task.construct_requests(doc=doc, ctx=prompt, metadata=(task.config.task, index, 1))
    choices = task.doc_to_choice(doc)
    # If every choice has its own prompt, doc_to_text of the harness returns the correct answer.
    answer = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    prompts = tuple(request.args[0] for request in requests)
    continuations = tuple(request.args[1] for request in requests)
    text, shown = (prompt, choices)
    if task.multiple_input or not prompt:
        text, shown = blanked([before + after for before, after in zip(prompts, continuations, strict=True)])
    return Question(
        index=index,
        text=text,
        prompts=prompts,
        continuations=continuations,
        choices=tuple(shown),
        answer=choices.index(answer) if isinstance(answer, str) else answer,
    )


def blanked(sentences: Sequence[str]) -> tuple[str, list[str]]:
    """Split sentences that differ in one place: the shared text with a blank `_` in that place, and the part of each
    sentence that belongs there.

    >>> blanked(["so Ann slept.", "so Anna slept."])
    ('so _ slept.', ['Ann', 'Anna'])
    """
    before = re.sub(r"\w+$", "", _shared(sentences))
    rest = [sentence[len(before) :] for sentence in sentences]
    after = re.sub(r"^\w+", "", _shared([sentence[::-1] for sentence in rest])[::-1])
    return f"{before}_{after}", [sentence[: len(sentence) - len(after)] for sentence in rest]


def _shared(texts: Sequence[str]) -> str:
    """The common prefix of the texts."""
    return "".join(first for first, *others in takewhile(lambda each: len(set(each)) == 1, zip(*texts, strict=False)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the harness's warnings about its own YAML files, and its progress bars, during the `with` block."""
    logger = logging.getLogger("lm_eval")
    level, bars = logger.level, datasets.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()
