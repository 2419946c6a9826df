"""Renders training examples of six tasks as text: the evaluation's prompt followed by the right answer.

The wording is that of an example in the few-shot prompts of lm-evaluation-harness 0.4.13 (arc_challenge, arc_easy,
boolq, rte, sst2, wnli); a test compares it with the harness on the same rows. Rows have the hub's field names.
"""

from collections.abc import Callable, Sequence

from prunescope.lm.rows import Row

BETWEEN = "\n\n"
"""The harness's separator between two examples."""


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
    return _pair(row, ("False", "True"))  # WNLI's label 1 means entailment, RTE's label 0


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
"""Task name -> function that renders a training row as text."""
