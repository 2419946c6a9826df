"""The training examples of six tasks as text: the evaluation's prompt with the right answer after it.

The words are those of lm-evaluation-harness 0.4.13 (arc_challenge, arc_easy, boolq, rte, sst2, wnli), as its few-shot
prompts show an example; a test renders the same rows with the harness. Rows carry the hub's field names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from lm.errors import BadData

BETWEEN = "\n\n"
"""What the harness puts between two examples."""


@dataclass(frozen=True)
class Row:
    """One row of a data set, checked as its fields are read; `place` says in an error where it stands."""

    fields: Mapping[str, object]
    place: str

    def text(self, name: str) -> str:
        """A field that is a text and not blank. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        if not value.strip():
            raise BadData(f"{self.place}: field {name!r} is empty")
        return value

    def answer(self, name: str, answers: Sequence[str]) -> str:
        """The answer that a label 0, 1, ... stands for. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(answers):
            raise self._wrong(name, value, " or ".join(map(str, range(len(answers)))))
        return answers[value]

    def truth(self, name: str) -> bool:
        """A field that is true or false. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def chosen(self, choices: str, key: str) -> str:
        """Of `choices` {"text": [...], "label": [...]} the text whose label the field `key` holds. Raises BadData."""
        found, label = self._value(choices), self._value(key)
        texts, labels = (found.get("text"), found.get("label")) if isinstance(found, Mapping) else (None, None)
        if not (_are_texts(texts) and _are_texts(labels) and len(texts) == len(labels)):
            raise self._wrong(choices, found, '{"text": [...], "label": [...]}, as many labels as texts')
        if not isinstance(label, str) or label not in labels:
            raise self._wrong(key, label, f"one of {', '.join(labels)}")
        return texts[labels.index(label)]

    def _value(self, name: str) -> object:
        if name not in self.fields:
            raise BadData(
                f"{self.place}: field {name!r} is missing; it has {', '.join(map(repr, self.fields)) or 'no fields'}"
            )
        return self.fields[name]

    def _wrong(self, name: str, value: object, needed: str) -> BadData:
        shown = repr(value)
        return BadData(f"{self.place}: field {name!r} is {shown[:60]}{'...' * (len(shown) > 60)}, not {needed}")


def _arc(row: Row) -> str:
    return f"Question: {row.text('question')}\nAnswer: {row.chosen('choices', 'answerKey')}"


def _boolq(row: Row) -> str:
    answer = "yes" if row.truth("answer") else "no"
    return f"{row.text('passage')}\nQuestion: {row.text('question')}?\nAnswer: {answer}"


def _pair(row: Row, answers: Sequence[str]) -> str:
    question = f"{row.text('sentence2')} True or False?"
    return f"{row.text('sentence1')}\nQuestion: {question}\nAnswer: {row.answer('label', answers)}"


def _rte(row: Row) -> str:
    return _pair(row, ("True", "False"))


def _wnli(row: Row) -> str:
    return _pair(row, ("False", "True"))  # GLUE numbers entailment the other way round here


def _sst2(row: Row) -> str:
    question = "Is this sentence positive or negative?"
    return f"{row.text('sentence')}\nQuestion: {question}\nAnswer: {row.answer('label', ('negative', 'positive'))}"


TASK_TEXTS: dict[str, Callable[[Row], str]] = {
    "arc_challenge": _arc,
    "arc_easy": _arc,
    "boolq": _boolq,
    "rte": _rte,
    "sst2": _sst2,
    "wnli": _wnli,
}
"""Name -> the text of one of its training rows."""


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
