"""The training examples of six tasks as text: the evaluation's prompt with the right answer after it.

The words are those of lm-evaluation-harness 0.4.13 (arc_challenge, arc_easy, boolq, rte, sst2, wnli), as its few-shot
prompts show an example; a test renders the same rows with the harness. Rows carry the hub's field names.
"""

from collections.abc import Callable, Sequence

from prunescope.lm.rows import Row

BETWEEN = "\n\n"
"""What the harness puts between two examples."""


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
