"""The ways in which a task's rows are written, and how they become what the task's definition reads.

A task may have several forms, because copies of a data set differ: the hub's usual one comes first, then the one that
the harness's own definition reads. A row is read by the first form whose fields it has.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from prunescope.evaluation.fields import Field, OneOf, Parts, Place, Text, Texts

Row = dict[str, Any]
Fault = tuple[str, str]
"""(field, what is wrong with it), as `fields.Field.fault` words it."""


def _as_it_is(row: Row) -> Row:
    return row


def _sound(row: Row) -> Fault | None:
    return None


@dataclass(frozen=True)
class Form:
    """Fields by name; `agree` says what is wrong between fields that are right by themselves.

    `mapped` makes the row that the definition reads. `left_out` are rows that do not belong to the task.
    """

    fields: Mapping[str, Field]
    agree: Callable[[Row], Fault | None] = _sound
    mapped: Callable[[Row], Row] = _as_it_is
    left_out: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def checked(self, row: Row) -> Row | Fault | None:
        """The mapped row, the first fault, or None for a row that is left out. All of the form's fields are there."""
        if any(type(row[name]) is type(value) and row[name] == value for name, value in self.left_out.items()):
            return None
        for name, kind in self.fields.items():
            if (wrong := kind.fault(row[name])) is not None:
                return name, wrong
        kept = {name: row[name] for name in self.fields}
        return self.agree(kept) or self.mapped(kept)


def choice_letter(row: Row) -> Fault | None:
    """ARC and OpenBookQA: as many letters as choices, and the answer's among them."""
    texts, labels = row["choices"]["text"], row["choices"]["label"]
    if len(texts) != len(labels):
        return "choices", f"has {len(texts)} texts and {len(labels)} labels"
    # The harness looks for OpenBookQA's letter without the blanks before it.
    if row["answerKey"].lstrip() not in labels:
        return "answerKey", f"is {row['answerKey']!r}, but must be {' or '.join(map(repr, labels))}"
    return None


def word_in_place(row: Row) -> Fault | None:
    """WiC: the word stands in the first sentence."""
    if row["start1"] < row["end1"] <= len(row["sentence1"]):
        return None
    return "end1", f"is {row['end1']}, but must lie behind start1 ({row['start1']}) and within sentence1"


def one_blank(row: Row) -> Fault | None:
    """Winogrande: the place of the options."""
    return None if "_" in row["sentence"] else ("sentence", "has no '_' in the place of the options")


def pronoun_in_place(row: Row) -> Fault | None:
    """WSC273: the pronoun stands where it is said to."""
    if row["text"][row["pronoun_loc"] :].startswith(row["pronoun"]):
        return None
    return "pronoun_loc", f"is {row['pronoun_loc']}, but {row['pronoun']!r} does not stand there in text"


def boolq_label(row: Row) -> Row:
    """SuperGLUE's integer for BoolQ's true or false."""
    return {"passage": row["passage"], "question": row["question"], "label": int(row["answer"])}


def pubmedqa_source(row: Row) -> Row:
    """The names of BigBio's copy."""
    names = {"QUESTION": row["question"], "CONTEXTS": row["context"]["contexts"]}
    return {**names, "final_decision": row["final_decision"]}


def logiqa_label(row: Row) -> Row:
    """The names of the harness's copy, and its letter for a number."""
    letter = "abcd"[row["correct_option"]]
    return {"context": row["context"], "question": row["query"], "options": row["options"], "label": letter}


def race_problems(row: Row) -> Row:
    """A question with its article, the way the harness's copy keeps all questions of one: as Python's own notation."""
    problem = {name: row[name] for name in ("question", "answer", "options")}
    return {"article": row["article"], "problems": repr([problem])}


def scitail_label(row: Row) -> Row:
    """0 for what follows, 1 for what does not, as RTE has it."""
    return {**row, "label": ("entails", "neutral").index(row["label"])}


def mednli_label(row: Row) -> Row:
    """0, 1, 2 in the order of MNLI."""
    label = ("entailment", "neutral", "contradiction").index(row["gold_label"])
    return {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": label}


def sentiment140_label(row: Row) -> Row:
    """0 negative, 1 positive."""
    return {"text": row["text"], "label": (0, 4).index(row["sentiment"])}


def problems_readable(row: Row) -> Fault | None:
    """RACE as the harness's copy has it: a list of questions in Python's own notation, of which the last one counts."""
    import ast

    wanted = Parts({"question": Text(), "answer": OneOf(("A", "B", "C", "D")), "options": Texts(4)})
    try:
        problems = ast.literal_eval(row["problems"])
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "problems", "is no list in Python's notation"
    if not isinstance(problems, list) or not problems:
        return "problems", "is no list of questions"
    for problem in problems:
        if (wrong := wanted.fault(problem)) is not None:
            return "problems", f"has a question that {wrong}"
    return None


def copa_premise(row: Row) -> Fault | None:
    """COPA: there is something to go on from."""
    return None if re.search(r"\w", row["premise"]) else ("premise", "has no word in it")


def copa_full_stop(row: Row) -> Row:
    """The definition takes the premise's last character off, whatever it is: one that ends a sentence, none else."""
    premise = row["premise"].rstrip()
    return {**row, "premise": premise if premise.endswith(SENTENCE_ENDS) else f"{premise}."}


SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002")
LABEL = OneOf((0, 1))
PAIR = Form({"sentence1": Text(), "sentence2": Text(), "label": LABEL})
LETTERED: Mapping[str, Field] = {
    "choices": Parts({"text": Texts(least=2), "label": Texts(least=2)}),
    "answerKey": Text(),
}
OPTIONS: Mapping[str, Field] = {"context": Text(), "options": Texts(4)}
PLACED: Mapping[str, Field] = {"start1": Place(), "end1": Place()}
