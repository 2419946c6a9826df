"""The prompts of Neuron Semantic Attribution (arXiv 2503.01542, Figures 1 and 2), as used here.

Departures from Figure 2: the worked example here answers in the brackets that the instruction requests, unlike the
figure's; and the figure only asks for words that decide a sentiment, whereas here each of the four groups of tasks has
its own question.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput
from prunescope.lm.tokenizer import to_continue
from prunescope.nsa.texts import SENTIMENT, start_of

THOUGHTS = "<think>"
"""The end of a rendered chat template that makes the model write its thoughts first, which may be longer than the
maximum length of an answer."""

MAX_REASON = 120
"""Maximum number of characters quoted from a chat template's error."""

SENTIMENT_QUESTION = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"


@dataclass(frozen=True)
class WordsQuestion:
    """The question for influential words in a group of tasks. `decide` completes "the words that are most relevant to
    determining ..."; `text` and `words` are the worked example."""

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
    """Return the question of a group of tasks. Raises BadInput, listing the groups, for an unknown group."""
    if group not in QUESTIONS:
        raise BadInput(f"task group {group!r} is unknown: choose one of {', '.join(QUESTIONS)}")
    return QUESTIONS[group]


def words_prompt(text: str, example: bool = True, group: str = SENTIMENT) -> str:
    """Return the prompt of Figure 2, which asks for the words that decide a text's answer, with or without the worked
    example."""
    question = words_question(group)
    shown = f'{question.instruction}\nText: "{question.text}"\nInfluential words: [{",".join(question.words)}]\n\n'
    return f'{shown if example else ""}{question.instruction}\nText: "{text}"\nInfluential words:'


@dataclass(frozen=True)
class Question:
    """A tokenised question. `chat`: whether the chat template was applied. `plain_reason`: the reason why an existing
    chat template was not used, else None."""

    ids: list[int]
    chat: bool
    plain_reason: str | None = None


def question(tokenizer: PreTrainedTokenizerBase, prompt: str, begun: str = "") -> Question:
    """Tokenise a question, with the tokenizer's chat template or, when there is no usable template, as plain text.

    `begun` is the beginning of the answer; in plain text a space precedes it. A template is a third-party program that
    may raise any exception, expect another message format, or omit the question.
    """
    try:
        text, reason = _rendered(tokenizer, prompt), None
    except Exception as error:  # for any error, the question is asked as plain text
        text, reason = None, f"it raises {type(error).__name__}: {start_of(str(error), MAX_REASON)}"
    if text is not None:
        if wrong := half_character(text):
            reason = f"it {wrong}"
        elif prompt.strip() in text:
            return Question(list(tokenizer(text + begun, add_special_tokens=False, verbose=False)["input_ids"]), True)
        else:
            reason = "it omits the question" if text.strip() else "it renders an empty text"
    return Question(question_ids(tokenizer, f"{prompt} {begun}" if begun else prompt), False, reason)


def question_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Return the token ids of a question as plain text, without tokens that the tokenizer appends."""
    return to_continue(tokenizer, prompt)


def _rendered(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str | None:
    """Return the question rendered with the chat template, so that the model answers without thoughts before; None for
    a tokenizer without a template."""
    if not tokenizer.chat_template:
        return None
    turn = [{"role": "user", "content": prompt}]
    text = str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False, enable_thinking=False))
    return f"{text.rstrip()}\n\n</think>\n\n" if text.rstrip().endswith(THOUGHTS) else text
