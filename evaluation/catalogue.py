"""The catalogue of tasks: the definition of each task, the fields of its rows, and the source of its rows.

Groups and tasks are those of arXiv 2503.01542, in its order; `reviews` is the task of the demo model. docs/tasks.md
describes the tasks for users.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prunescope.evaluation import forms
from prunescope.evaluation.fields import OneOf, Parts, Place, Text, Texts
from prunescope.evaluation.forms import LABEL, LETTERED, OPTIONS, PAIR, PLACED, Form
from prunescope.lm.errors import BadInput

_ROOT = Path(__file__).parents[1]
SHIPPED_REVIEWS = _ROOT / "demo" / "reviews.jsonl"

PARQUET = {"dataset_kwargs": {"revision": "refs/convert/parquet"}}
"""The hub's parquet conversion of a dataset whose loading script is no longer supported."""

PUBMEDQA_TEST = Path(__file__).parent / "tasks" / "pubmedqa_test.txt"

SENTIMENT, ANSWERING, SIMILARITY, LOGIC = "sentiment", "question answering", "similarity", "logic"

MEDNLI_IS_CREDENTIALED = (
    "MedNLI is credentialed data of PhysioNet, which may not be redistributed: download mli_dev_v1.jsonl there and "
    "put it into eval/mednli.jsonl of the data folder"
)


@dataclass(frozen=True)
class Task:
    """Definition of a multiple-choice task.

    `forms`: the accepted formats of a row. `harness`: the path of the task's YAML file inside lm_eval's folder `tasks`;
    None if `evaluation/tasks/<name>.yaml` defines the task. `changes`: entries that replace those of the YAML file,
    such as the dataset to read. `shipped`: a file of rows that is part of the project and is read instead of a hub
    dataset. `local`: for a task without a hub dataset, the reason, shown to a user who gives no local file. `rows`: (id
    field, file of ids), if only the hub's rows with these ids belong to the task. `between`: (prompt before the row's
    text, prompt after it), if they cannot be derived from the prompt's template.
    """

    name: str
    group: str
    forms: tuple[Form, ...]
    harness: str | None = None
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    shipped: Path | None = None
    local: str | None = None
    rows: tuple[str, Path] | None = None
    between: tuple[str, str] | None = None

    @property
    def figure_1(self) -> bool:
        """Whether the task has the prompt of the paper's Figure 1."""
        return self.group == SENTIMENT and self.harness is None


def _glue(name: str, group: str, form: Form) -> Task:
    return Task(name, group, (form,), harness=f"glue/{name}/default.yaml")


_TASKS = (
    _glue("sst2", SENTIMENT, Form({"sentence": Text(), "label": LABEL})),
    Task("yelp", SENTIMENT, (Form({"text": Text(), "label": LABEL}),)),
    Task("imdb", SENTIMENT, (Form({"text": Text(), "label": LABEL}),)),
    Task(
        "sentiment140",
        SENTIMENT,
        (
            Form(
                {"text": Text(), "sentiment": OneOf((0, 4))},
                mapped=forms.sentiment140_label,
                excluded={"sentiment": 2},
            ),
        ),
        changes=PARQUET,
    ),
    Task(
        "arc_challenge",
        ANSWERING,
        (Form({"question": Text(), **LETTERED}, forms.choice_letter),),
        "arc/arc_challenge.yaml",
    ),
    Task("arc_easy", ANSWERING, (Form({"question": Text(), **LETTERED}, forms.choice_letter),), "arc/arc_easy.yaml"),
    Task(
        "openbookqa",
        ANSWERING,
        (Form({"question_stem": Text(), **LETTERED}, forms.choice_letter),),
        "openbookqa/openbookqa.yaml",
    ),
    Task(
        "pubmedqa",
        ANSWERING,
        (
            Form(
                {
                    "question": Text(),
                    "context": Parts({"contexts": Texts()}),
                    "final_decision": OneOf(("yes", "no", "maybe")),
                },
                mapped=forms.pubmedqa_source,
            ),
            Form({"QUESTION": Text(), "CONTEXTS": Texts(), "final_decision": OneOf(("yes", "no", "maybe"))}),
        ),
        "pubmedqa/pubmedqa.yaml",
        # The harness reads BigBio's copy, whose loading script is no longer supported; this copy has all
        # labelled questions in one split.
        {"dataset_path": "qiaojin/PubMedQA", "dataset_name": "pqa_labeled", "test_split": "train"},
        rows=("pubid", PUBMEDQA_TEST),
        between=("Abstract: ", "\nAnswer:"),
    ),
    Task(
        "boolq",
        ANSWERING,
        (
            Form(
                {"passage": Text(), "question": Text(), "answer": OneOf((True, False))},
                mapped=forms.boolq_label,
            ),
            Form({"passage": Text(), "question": Text(), "label": LABEL}),
        ),
        "super_glue/boolq/default.yaml",
    ),
    _glue("qnli", ANSWERING, Form({"question": Text(), "sentence": Text(), "label": LABEL})),
    _glue("mrpc", SIMILARITY, PAIR),
    _glue("qqp", SIMILARITY, Form({"question1": Text(), "question2": Text(), "label": LABEL})),
    Task(
        "wic",
        SIMILARITY,
        (Form({"sentence1": Text(), "sentence2": Text(), **PLACED, "label": LABEL}, forms.word_in_place),),
        "super_glue/wic/default.yaml",
        between=("Sentence 1: ", "\nQuestion: Is the word '"),
    ),
    Task(
        "scitail",
        SIMILARITY,
        (
            Form(
                {"premise": Text(), "hypothesis": Text(), "label": OneOf(("entails", "neutral"))},
                mapped=forms.scitail_label,
            ),
        ),
    ),
    Task(
        "mednli",
        SIMILARITY,
        (
            Form(
                {
                    "sentence1": Text(),
                    "sentence2": Text(),
                    "gold_label": OneOf(("entailment", "neutral", "contradiction")),
                },
                mapped=forms.mednli_label,
            ),
        ),
        local=MEDNLI_IS_CREDENTIALED,
    ),
    _glue("rte", SIMILARITY, PAIR),
    Task(
        "paws",
        SIMILARITY,
        (PAIR,),
        "paws-x/paws_en.yaml",
        # The harness reads PAWS-X, translations of a part of PAWS.
        {
            "task": "paws",
            "dataset_path": "google-research-datasets/paws",
            "dataset_name": "labeled_final",
            "test_split": "test",
        },
    ),
    Task(
        "copa",
        LOGIC,
        (
            Form(
                {
                    "premise": Text(),
                    "choice1": Text(),
                    "choice2": Text(),
                    "question": OneOf(("cause", "effect")),
                    "label": LABEL,
                },
                forms.copa_premise,
                forms.copa_full_stop,
            ),
        ),
        "super_glue/copa/default.yaml",
    ),
    Task(
        "logiqa",
        LOGIC,
        (
            Form({**OPTIONS, "question": Text(), "label": OneOf(("a", "b", "c", "d"))}),
            Form({**OPTIONS, "query": Text(), "correct_option": OneOf((0, 1, 2, 3))}, mapped=forms.logiqa_label),
        ),
        "logiqa/logiqa.yaml",
        PARQUET,
        between=("Passage: ", "\nAnswer:"),
    ),
    Task(
        "sciq",
        LOGIC,
        (
            Form(
                {
                    "support": Text(empty=True),
                    "question": Text(),
                    "distractor1": Text(),
                    "distractor2": Text(),
                    "distractor3": Text(),
                    "correct_answer": Text(),
                }
            ),
        ),
        "sciq/sciq.yaml",
    ),
    Task(
        "winogrande",
        LOGIC,
        (
            Form(
                {"sentence": Text(), "option1": Text(), "option2": Text(), "answer": OneOf(("1", "2"))},
                forms.one_blank,
            ),
        ),
        "winogrande/default.yaml",
    ),
    _glue("wnli", LOGIC, PAIR),
    Task(
        "wsc273",
        LOGIC,
        (
            Form(
                {"text": Text(), "pronoun": Text(), "pronoun_loc": Place(), "options": Texts(2), "label": LABEL},
                forms.pronoun_in_place,
            ),
        ),
        "wsc273/default.yaml",
    ),
    Task(
        "race",
        LOGIC,
        (
            Form(
                {
                    "article": Text(),
                    "question": Text(),
                    "options": Texts(4),
                    "answer": OneOf(("A", "B", "C", "D")),
                },
                mapped=forms.race_problems,
            ),
            Form({"article": Text(), "problems": Text()}, forms.problems_readable),
        ),
        "race/race.yaml",
        between=("Article: ", ""),
    ),
    Task(
        "reviews",
        SENTIMENT,
        (Form({"text": Text(), "label": OneOf(("negative", "positive"))}),),
        shipped=SHIPPED_REVIEWS,
    ),
)
TASKS: Mapping[str, Task] = {task.name: task for task in _TASKS}


def find_task(name: str) -> Task:
    """The task of this name. Raises BadInput for an unknown name; the message lists the known names, most similar
    first."""
    if name not in TASKS:
        near = get_close_matches(name, TASKS, n=3)
        known = ", ".join([*near, *sorted(set(TASKS) - set(near))])
        raise BadInput(f"task {name!r} is not known; the tasks are {known}")
    return TASKS[name]
