"""A row of every task, made up here, and what a model is asked of it."""

from dataclasses import dataclass
from typing import Any

LETTERS = ["A", "B", "C", "D"]
FIGURE_1 = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"
PAIR = {"sentence1": "The lamp is on the table.", "sentence2": "The table is under the lamp."}
CUPS = "All cups are blue.\nQuestion: What is this cup?\nChoices:\nA. red\nB. blue\nC. round\nD. new"
SAYS_THE_SAME = "\nQuestion: Do both sentences mean the same thing?\nAnswer:"


@dataclass(frozen=True)
class Asked:
    """A row of a local file; each choice's prompt and continuation; the right one; the text of an attribution."""

    row: dict[str, Any]
    prompts: str | tuple[str, ...]
    continuations: tuple[str, ...]
    answer: int
    text: str


ASKED: dict[str, list[Asked]] = {
    "sst2": [
        Asked(
            {"sentence": "a dull evening", "label": 0},
            "a dull evening\nQuestion: Is this sentence positive or negative?\nAnswer:",
            (" negative", " positive"),
            0,
            "a dull evening",
        )
    ],
    "yelp": [
        Asked(
            {"text": "The soup was cold.", "label": 0},
            "The soup was cold." + FIGURE_1,
            (" negative", " positive"),
            0,
            "The soup was cold.",
        )
    ],
    "imdb": [
        Asked(
            {"text": "I would see it twice.<br />", "label": 1},
            "I would see it twice.<br />" + FIGURE_1,
            (" negative", " positive"),
            1,
            "I would see it twice.<br />",
        )
    ],
    "sentiment140": [
        Asked(
            {"text": "@nobody what a morning!", "sentiment": 4, "query": "morning"},
            "@nobody what a morning!" + FIGURE_1,
            (" negative", " positive"),
            1,
            "@nobody what a morning!",
        )
    ],
    "arc_challenge": [
        Asked(
            {
                "id": "x",
                "question": "What keeps a compost heap warm?",
                "choices": {"text": ["moonlight", "living things", "stones"], "label": ["1", "2", "3"]},
                "answerKey": "2",
            },
            "Question: What keeps a compost heap warm?\nAnswer:",
            (" moonlight", " living things", " stones"),
            1,
            "What keeps a compost heap warm?",
        )
    ],
    "arc_easy": [
        Asked(
            {
                "question": "Which one sinks?",
                "choices": {"text": ["a cork", "a leaf", "a nail", "a feather"], "label": LETTERS},
                "answerKey": "C",
            },
            "Question: Which one sinks?\nAnswer:",
            (" a cork", " a leaf", " a nail", " a feather"),
            2,
            "Which one sinks?",
        )
    ],
    "openbookqa": [
        Asked(
            {
                "question_stem": "Bees visit a meadow because of",
                "choices": {"text": ["its flowers", "its fence", "the rain", "a road"], "label": LETTERS},
                "answerKey": " A",
            },
            "Bees visit a meadow because of",
            (" its flowers", " its fence", " the rain", " a road"),
            0,
            "Bees visit a meadow because of",
        )
    ],
    "pubmedqa": [
        Asked(
            {
                "pubid": 1,
                "question": "Does tea help?",
                "context": {"contexts": ["Ten people drank tea.", "Five felt better."], "labels": ["A", "B"]},
                "final_decision": "maybe",
            },
            "Abstract: Ten people drank tea.\nFive felt better.\nQuestion: Does tea help?\nAnswer:",
            (" yes", " no", " maybe"),
            2,
            "Ten people drank tea.\nFive felt better.\nQuestion: Does tea help?",
        )
    ],
    "boolq": [
        Asked(
            {"passage": "The bridge has two lanes.", "question": "is the bridge wide", "answer": False},
            "The bridge has two lanes.\nQuestion: is the bridge wide?\nAnswer:",
            (" no", " yes"),
            0,
            "The bridge has two lanes.\nQuestion: is the bridge wide",
        )
    ],
    "qnli": [
        Asked(
            {"question": "Who built it?", "sentence": "It stands by the sea.", "label": 1},
            "Who built it?\nIt stands by the sea.\nQuestion: Does this response answer the question?\nAnswer:",
            (" yes", " no"),
            1,
            "Who built it?\nIt stands by the sea.",
        )
    ],
    "mrpc": [
        Asked(
            {**PAIR, "label": 1},
            f"Sentence 1: {PAIR['sentence1']}\nSentence 2: {PAIR['sentence2']}{SAYS_THE_SAME}",
            (" no", " yes"),
            1,
            f"{PAIR['sentence1']}\nSentence 2: {PAIR['sentence2']}",
        )
    ],
    "qqp": [
        Asked(
            {"question1": "How old is it?", "question2": "What is its age?", "label": 1},
            "Question 1: How old is it?\nQuestion 2: What is its age?\n"
            "Question: Do both questions ask the same thing?\nAnswer:",
            (" no", " yes"),
            1,
            "How old is it?\nQuestion 2: What is its age?",
        )
    ],
    "wic": [
        Asked(
            {
                "word": "bank",
                "sentence1": "The bank was steep.",
                "sentence2": "The bank was closed.",
                "start1": 4,
                "end1": 8,
                "label": 0,
            },
            "Sentence 1: The bank was steep.\nSentence 2: The bank was closed.\n"
            "Question: Is the word 'bank' used in the same way in the two sentences above?\nAnswer:",
            (" no", " yes"),
            0,
            "The bank was steep.\nSentence 2: The bank was closed.",
        )
    ],
    "scitail": [
        Asked(
            {"premise": "Copper carries a current well.", "hypothesis": "Copper conducts.", "label": "entails"},
            "Copper carries a current well.\nQuestion: Copper conducts. True or False?\nAnswer:",
            (" True", " False"),
            0,
            "Copper carries a current well.\nQuestion: Copper conducts.",
        ),
        Asked(
            {"premise": "Copper shines.", "hypothesis": "Copper floats.", "label": "neutral"},
            "Copper shines.\nQuestion: Copper floats. True or False?\nAnswer:",
            (" True", " False"),
            1,
            "Copper shines.\nQuestion: Copper floats.",
        ),
    ],
    "mednli": [
        Asked(
            {
                "pairID": "x",
                "sentence1": "No cough today.",
                "sentence2": "The patient coughs.",
                "gold_label": "contradiction",
            },
            "No cough today.\nQuestion: The patient coughs. True, False or Neither?\nAnswer:",
            (" True", " Neither", " False"),
            2,
            "No cough today.\nQuestion: The patient coughs.",
        )
    ],
    "rte": [
        Asked(
            {"sentence1": "It rained all week.", "sentence2": "Monday was dry.", "label": 1, "idx": 0},
            "It rained all week.\nQuestion: Monday was dry. True or False?\nAnswer:",
            (" True", " False"),
            1,
            "It rained all week.\nQuestion: Monday was dry.",
        )
    ],
    "paws": [
        Asked(
            {"id": 1, "sentence1": "Ann , of York , met Bo .", "sentence2": "Bo met Ann of York .", "label": 1},
            "",
            (
                "Ann, of York, met Bo, right? No, bo met Ann of York.",
                "Ann, of York, met Bo, right? Yes, bo met Ann of York.",
            ),
            1,
            "Ann, of York, met Bo, right? Yes, bo met Ann of York.",
        )
    ],
    "copa": [
        Asked(
            {
                "premise": "The pan was hot.",
                "choice1": "I burnt it.",
                "choice2": "Water hissed.",
                "question": "effect",
                "label": 1,
            },
            "The pan was hot therefore",
            ("  i burnt it.", "  water hissed."),
            1,
            "The pan was hot therefore",
        ),
        Asked(
            {
                "premise": "The pan was hot.",
                "choice1": "It rained.",
                "choice2": "It slept.",
                "question": "cause",
                "label": 0,
            },
            "The pan was hot because",
            ("  it rained.", "  it slept."),
            0,
            "The pan was hot because",
        ),
    ],
    "logiqa": [
        Asked(
            {
                "context": "All cups are blue.",
                "query": "What is this cup?",
                "options": ["red", "blue", "round", "new"],
                "correct_option": 1,
            },
            f"Passage: {CUPS}\nAnswer:",
            (" red", " blue", " round", " new"),
            1,
            CUPS,
        ),
        Asked(
            {
                "context": "All cups are blue.",
                "question": "What is this cup?",
                "options": ["red", "blue", "round", "new"],
                "label": "d",
            },
            f"Passage: {CUPS}\nAnswer:",
            (" red", " blue", " round", " new"),
            3,
            CUPS,
        ),
    ],
    "sciq": [
        Asked(
            {
                "question": "What melts first?",
                "distractor1": "iron",
                "distractor2": "glass",
                "distractor3": "gold",
                "correct_answer": "ice",
                "support": " Ice melts at zero degrees.",
            },
            "Ice melts at zero degrees.\nQuestion: What melts first?\nAnswer:",
            (" iron", " glass", " gold", " ice"),
            3,
            "Ice melts at zero degrees.\nQuestion: What melts first?",
        ),
        Asked(
            {
                "question": "What melts first?",
                "distractor1": "iron",
                "distractor2": "glass",
                "distractor3": "gold",
                "correct_answer": "ice",
                "support": "",
            },
            "\nQuestion: What melts first?\nAnswer:",
            (" iron", " glass", " gold", " ice"),
            3,
            "Question: What melts first?",
        ),
    ],
    "winogrande": [
        Asked(
            {"sentence": "Jo lent Kim a coat as _ was cold.", "option1": "Jo", "option2": "Kim", "answer": "2"},
            ("Jo lent Kim a coat as Jo", "Jo lent Kim a coat as Kim"),
            (" was cold.", " was cold."),
            1,
            "Jo lent Kim a coat as Kim was cold.",
        )
    ],
    "wnli": [
        Asked(
            {"sentence1": "Jo saw Kim. She waved.", "sentence2": "Kim waved.", "label": 1},
            "Jo saw Kim. She waved.\nQuestion: Kim waved. True or False?\nAnswer:",
            (" False", " True"),
            1,
            "Jo saw Kim. She waved.\nQuestion: Kim waved.",
        )
    ],
    "wsc273": [
        Asked(
            {
                "text": "The jug fits no shelf because it is tall.",
                "pronoun": "it",
                "pronoun_loc": 30,
                "quote": "it is tall",
                "quote_loc": 30,
                "options": ["The jug", "The shelf"],
                "label": 0,
                "source": "-",
            },
            ("The jug fits no shelf because the jug", "The jug fits no shelf because the shelf"),
            ("  is tall.", "  is tall."),
            0,
            "The jug fits no shelf because the jug  is tall.",
        )
    ],
    "race": [
        Asked(
            {
                "example_id": "x",
                "article": "A fox met a crow.",
                "question": "Whom did the fox meet?",
                "options": ["A crow.", "A cat.", "A dog.", "A bear."],
                "answer": "A",
            },
            "Article: A fox met a crow.\n\nWhom did the fox meet?",
            (" A crow.", " A cat.", " A dog.", " A bear."),
            0,
            "A fox met a crow.\n\nWhom did the fox meet?",
        ),
        Asked(
            {
                "article": "A fox met a crow.",
                "problems": "[{'question': 'Who sang?', 'options': ['A', 'B', 'C', 'D'], 'answer': 'B'}, "
                "{'question': 'Who ate?', 'options': ['x', 'y', 'z', 'w'], 'answer': 'D'}]",
            },
            "Article: A fox met a crow.\n\nQuestion: Who sang?\nAnswer: B\nWho ate?",
            (" x", " y", " z", " w"),
            3,
            "A fox met a crow.\n\nQuestion: Who sang?\nAnswer: B\nWho ate?",
        ),
    ],
    "reviews": [
        Asked(
            {"text": "Nice chairs.", "label": "positive", "words": ["Nice"]},
            "Nice chairs." + FIGURE_1,
            (" negative", " positive"),
            1,
            "Nice chairs.",
        )
    ],
}
