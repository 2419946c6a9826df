"""The prompts of Neuron Semantic Attribution (arXiv 2503.01542, Figures 1 and 2), as used here.

Departures from Figure 2: the worked example here answers in the brackets that the instruction asks for, the figure's
does not; and the figure asks only for words that decide a sentiment, here there is a question for each of the four
groups of tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput
from prunescope.lm.tokenizer import to_continue
from prunescope.nsa.texts import SENTIMENT, start_of

THOUGHTS = "<think>"
"""The end of some chat templates, which makes the model think first, for longer than an answer may be."""

MAX_REASON = 120
"""Characters quoted of a chat template's error."""

SENTIMENT_QUESTION = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"


@dataclass(frozen=True)
class WordsQuestion:
    """The question for influential words in a group of tasks; `text` and `words` are its worked example."""

    decide: str
    text: str
    words: tuple[str, ...]

    @property
    def instruction(self) -> str:
        """The instruction part of the prompt."""
        return (
            f"Below is a text. Identify the words that are most relevant to determining {self.decide} "
            "and organize them like: [word1,word2,...]."
        )


QUESTIONS: Mapping[str, WordsQuestion] = {
    SENTIMENT: WordsQuestion(
        "its sentiment",
        "There are a couple of kinks they are working out, but otherwise, it was a good dinner.",
        ("kinks", "but", "good"),
    ),
    "question answering": WordsQuestion(
        "the answer to its question",
        "Question: Which of these melts first on a hot day: a candle in the sun, a brick, or a spoon?",
        ("melts", "hot", "candle", "sun"),
    ),
    "similarity": WordsQuestion(
        "whether its two sentences mean the same",
        "Sentence 1: A man slices bread in the kitchen. Sentence 2: Nobody cuts a loaf at home.",
        ("slices", "bread", "Nobody", "cuts", "loaf"),
    ),
    "logic": WordsQuestion(
        "what follows from it",
        "Anna poured water from the jug into the cup until it was full. What was full?",
        ("poured", "into", "cup", "until"),
    ),
}


def words_question(group: str) -> WordsQuestion:
    """The question of a group of tasks. Raises BadInput, listing the groups, for an unknown one."""
    if group not in QUESTIONS:
        raise BadInput(f"task group {group!r} is unknown: choose one of {', '.join(QUESTIONS)}")
    return QUESTIONS[group]


def words_prompt(text: str, example: bool = True, group: str = SENTIMENT) -> str:
    """The prompt of Figure 2, which asks for the words that decide a text's answer, with or without the worked
    example."""
    question = words_question(group)
    shown = f'{question.instruction}\nText: "{question.text}"\nInfluential words: [{",".join(question.words)}]\n\n'
    return f'{shown if example else ""}{question.instruction}\nText: "{text}"\nInfluential words:'


@dataclass(frozen=True)
class Question:
    """A tokenised question; `chat` says whether the chat template was applied. `plain_reason` says why a chat template
    that exists was not used."""

    ids: list[int]
    chat: bool
    plain_reason: str | None = None


def question(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Question:
    """Tokenise a question: with the tokenizer's chat template, or as plain text when there is no usable template.

    A template is a third party's program that may raise, expect another message format, or omit the question.
    """
    try:
        text, reason = _rendered(tokenizer, prompt), None
    except Exception as error:  # whatever it raises, the question can be asked as plain text
        text, reason = None, f"it raises {type(error).__name__}: {start_of(str(error), MAX_REASON)}"
    if text is not None:
        if wrong := half_character(text):
            reason = f"it {wrong}"
        elif prompt.strip() in text:
            return Question(list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]), True)
        else:
            reason = "it leaves the question out" if text.strip() else "it gives nothing"
    return Question(question_ids(tokenizer, prompt), False, reason)


def question_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a question as plain text, without tokens that the tokenizer appends."""
    return to_continue(tokenizer, prompt)


def _rendered(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str | None:
    """The question rendered with the chat template, set to answer without thinking first; None for a tokenizer without
    a template."""
    if not tokenizer.chat_template:
        return None
    turn = [{"role": "user", "content": prompt}]
    text = str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False, enable_thinking=False))
    return f"{text.rstrip()}\n\n</think>\n\n" if text.rstrip().endswith(THOUGHTS) else text
