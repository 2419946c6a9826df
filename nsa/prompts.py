"""The prompts of Neuron Semantic Attribution (arXiv 2503.01542, Figures 1 and 2), as the project writes them.

Departures from Figure 2: its worked example answers without brackets, ours answers in the brackets that the instruction
asks for; and it asks for the words that decide a sentiment, which is one of four groups of tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from lm.errors import BadInput
from lm.tokenizer import to_continue
from nsa.texts import SENTIMENT

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


def question_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a question: as one turn of a chat where the tokenizer has a chat template, else as plain text, with
    nothing behind it."""
    if tokenizer.chat_template is None:
        return to_continue(tokenizer, prompt)
    turn = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
