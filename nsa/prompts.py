"""The prompts of Neuron Semantic Attribution (arXiv 2503.01542, Figures 1 and 2), as the project writes them.

Departures from Figure 2: its worked example answers without brackets, ours answers in the brackets that the instruction
asks for; and it asks for the words that decide a sentiment, which is one of four groups of tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput
from prunescope.lm.tokenizer import to_continue
from prunescope.nsa.texts import SENTIMENT, start_of

THOUGHTS = "<think>"
"""What some templates end with, so that the model thinks before it answers: for longer than an answer may be."""

MAX_REASON = 120
"""Characters of what a chat template raised that are shown."""

SENTIMENT_QUESTION = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"


@dataclass(frozen=True)
class WordsQuestion:
    """How a group of tasks asks for its influential words; `text` and `words` are the worked example."""

    decide: str
    text: str
    words: tuple[str, ...]

    @property
    def instruction(self) -> str:
        """What is asked for."""
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
    """The question of a group of tasks; BadInput lists the groups."""
    if group not in QUESTIONS:
        raise BadInput(f"task group {group!r} is unknown: choose one of {', '.join(QUESTIONS)}")
    return QUESTIONS[group]


def words_prompt(text: str, example: bool = True, group: str = SENTIMENT) -> str:
    """Figure 2's question for the words that decide a text's answer, with or without its worked example."""
    question = words_question(group)
    shown = f'{question.instruction}\nText: "{question.text}"\nInfluential words: [{",".join(question.words)}]\n\n'
    return f'{shown if example else ""}{question.instruction}\nText: "{text}"\nInfluential words:'


@dataclass(frozen=True)
class Question:
    """A question as the model reads it: `chat` as one turn of a chat. `plain_reason` says why the tokenizer's chat
    template is not used, where it has one."""

    ids: list[int]
    chat: bool
    plain_reason: str | None = None


def question(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Question:
    """A question as one turn of a chat where the tokenizer has a chat template that asks it, else as plain text.

    A template is somebody else's program: it may raise, want another form of messages, or leave the question out.
    """
    try:
        text, reason = _rendered(tokenizer, prompt), None
    except Exception as error:  # whatever it raises, the question can be asked without it
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
    """Token ids of a question as plain text, with nothing behind it."""
    return to_continue(tokenizer, prompt)


def _rendered(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str | None:
    """The turn of a chat that asks a question, to be answered without thinking first; None for a tokenizer without a
    template."""
    if not tokenizer.chat_template:
        return None
    turn = [{"role": "user", "content": prompt}]
    text = str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False, enable_thinking=False))
    return f"{text.rstrip()}\n\n</think>\n\n" if text.rstrip().endswith(THOUGHTS) else text
