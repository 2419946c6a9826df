"""Formats of task rows, and their conversion to the fields that the task's definition reads.

A task may have several formats, because copies of a dataset differ: first the format of the usual hub dataset, then the
format that the harness's definition reads. A row is read in the first format whose fields it has.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from prunescope.evaluation.fields import Field, OneOf, Parts, Place, Text, Texts

Row = dict[str, Any]
Fault = tuple[str, str]
"""(field name, why the field is invalid), worded as by `fields.Field.fault`."""


def _unchanged(row: Row) -> Row:
    return row


def _no_fault(row: Row) -> Fault | None:
    return None


@dataclass(frozen=True)
class Form:
    """A row format.

    `fields` are the field types by name. `agree` returns a fault when fields that are valid separately are inconsistent
    with each other, else None. `mapped` converts a row to the format that the task's definition reads. `excluded` maps
    a field to a value; rows with this value do not belong to the task.
    """

    fields: Mapping[str, Field]
    agree: Callable[[Row], Fault | None] = _no_fault
    mapped: Callable[[Row], Row] = _unchanged
    excluded: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def checked(self, row: Row) -> Row | Fault | None:
        """The converted row; the first fault of an invalid row; None for an excluded row. The row must have all
        `fields`."""
        if any(type(row[name]) is type(value) and row[name] == value for name, value in self.excluded.items()):
            return None
        for name, kind in self.fields.items():
            if (wrong := kind.fault(row[name])) is not None:
                return name, wrong
        kept = {name: row[name] for name in self.fields}
        return self.agree(kept) or self.mapped(kept)


def choice_letter(row: Row) -> Fault | None:
    """ARC and OpenBookQA: check that there are as many letters as choices, and that the answer's letter is one of
    them."""
    texts, labels = row["choices"]["text"], row["choices"]["label"]
    if len(texts) != len(labels):
        return "choices", f"has {len(texts)} texts and {len(labels)} labels"
    # The harness compares OpenBookQA's letter without its leading spaces.
    if row["answerKey"].lstrip() not in labels:
        return "answerKey", f"is {row['answerKey']!r}, but must be {' or '.join(map(repr, labels))}"
    return None


def word_in_place(row: Row) -> Fault | None:
    """WiC: check that the word's position lies inside the first sentence."""
    if row["start1"] < row["end1"] <= len(row["sentence1"]):
        return None
    return "end1", f"is {row['end1']}, but must lie behind start1 ({row['start1']}) and within sentence1"


def one_blank(row: Row) -> Fault | None:
    """Winogrande: check that the sentence has a blank `_` in place of the options."""
    return None if "_" in row["sentence"] else ("sentence", "has no '_' in the place of the options")


def pronoun_in_place(row: Row) -> Fault | None:
    """WSC273: check that the pronoun is at the given position."""
    if row["text"][row["pronoun_loc"] :].startswith(row["pronoun"]):
        return None
    return "pronoun_loc", f"is {row['pronoun_loc']}, but {row['pronoun']!r} does not stand there in text"


def boolq_label(row: Row) -> Row:
    """BoolQ: convert the boolean answer to SuperGLUE's integer label."""
    return {"passage": row["passage"], "question": row["question"], "label": int(row["answer"])}


def pubmedqa_source(row: Row) -> Row:
    """PubMedQA: convert a row to the field names of BigBio's copy."""
    names = {"QUESTION": row["question"], "CONTEXTS": row["context"]["contexts"]}
    return {**names, "final_decision": row["final_decision"]}


def logiqa_label(row: Row) -> Row:
    """LogiQA: convert a row to the field names of the harness's copy, and the answer's number to its letter."""
    letter = "abcd"[row["correct_option"]]
    return {"context": row["context"], "question": row["query"], "options": row["options"], "label": letter}


def race_problems(row: Row) -> Row:
    """RACE: convert one question with its article to the harness's format, in which `problems` is a list of questions
    as Python source."""
    problem = {name: row[name] for name in ("question", "answer", "options")}
    return {"article": row["article"], "problems": repr([problem])}


def scitail_label(row: Row) -> Row:
    """SciTail: convert the label to RTE's: 0 for entailment, 1 for no entailment."""
    return {**row, "label": ("entails", "neutral").index(row["label"])}


def mednli_label(row: Row) -> Row:
    """MedNLI: convert a row to MNLI's field names and labels: 0 entailment, 1 neutral, 2 contradiction."""
    label = ("entailment", "neutral", "contradiction").index(row["gold_label"])
    return {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": label}


def sentiment140_label(row: Row) -> Row:
    """Sentiment140: convert the label to 0 (negative) or 1 (positive)."""
    return {"text": row["text"], "label": (0, 4).index(row["sentiment"])}


def problems_readable(row: Row) -> Fault | None:
    """RACE in the harness's format: check that `problems` is a list of questions as Python source. The harness uses the
    last question."""
    import ast

    wanted = Parts({"question": Text(), "answer": OneOf(("A", "B", "C", "D")), "options": Texts(4)})
    try:
        problems = ast.literal_eval(row["problems"])
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "problems", "is not a list in Python syntax"
    if not isinstance(problems, list) or not problems:
        return "problems", "is not a list of questions"
    for problem in problems:
        if (wrong := wanted.fault(problem)) is not None:
            return "problems", f"has a question that {wrong}"
    return None


def copa_premise(row: Row) -> Fault | None:
    """COPA: check that the premise has at least one letter or digit."""
    return None if re.search(r"\w", row["premise"]) else ("premise", "has no word in it")


def copa_full_stop(row: Row) -> Row:
    """COPA: add a full stop to a premise that does not end with one, because the harness's definition always removes
    the last character."""
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
