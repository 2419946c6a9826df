import json
from pathlib import Path

import pytest

from prunescope.evaluation.catalogue import SHIPPED_REVIEWS, TASKS
from prunescope.evaluation.harness import Newline, ask, configuration, hub_source
from prunescope.evaluation.prompts import PromptedText, prompt_around, row_texts, task_texts
from prunescope.evaluation.rows import HubSource, read_rows
from prunescope.lm.errors import BadInput

FIGURE_1 = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"


@pytest.mark.parametrize("task", ["yelp", "reviews"])
def test_our_own_tasks_end_as_figure_1_does(task: str) -> None:
    assert prompt_around(task) == ("", FIGURE_1)
    assert prompt_around(task, "literal") == ("", FIGURE_1.replace("\n", "\\n"))


def test_the_harness_prompt_stays_its_own() -> None:
    assert prompt_around("sst2") == prompt_around("sst2", "literal")
    assert prompt_around("sst2") == ("", "\nQuestion: Is this sentence positive or negative?\nAnswer:")


@pytest.mark.parametrize("newline", ["real", "literal"])
@pytest.mark.parametrize("task", ["sst2", "yelp", "imdb", "sentiment140", "reviews"])
def test_the_harness_puts_the_same_prompt_around_a_text(task: str, newline: Newline) -> None:
    text = "braces {{ and }}, a \\n, a\nline and a blank "
    name = "sentence" if task == "sst2" else "text"
    asked = ask(configuration(TASKS[task], newline), [{name: text, "label": "positive" if task == "reviews" else 1}])
    before, after = prompt_around(task, newline)
    (question,) = asked.questions
    assert question.text == before + text + after
    assert question.prompts == (question.text, question.text)
    assert question.continuations == (" negative", " positive")
    assert question.choices == ("negative", "positive")
    assert question.answer == 1
    assert asked.version == "1.0"


def test_the_prompt_hash_tells_prompts_apart_and_not_rows() -> None:
    def prompt_hash(task: str, newline: Newline = "real", text: str = "fine") -> str:
        name = "sentence" if task == "sst2" else "text"
        row = {name: text, "label": "negative" if task == "reviews" else 0}
        return ask(configuration(TASKS[task], newline), [row]).prompt_hash

    assert prompt_hash("yelp") == prompt_hash("reviews") == prompt_hash("yelp", text="dull")
    assert len({prompt_hash("yelp"), prompt_hash("yelp", "literal"), prompt_hash("sst2")}) == 3
    assert prompt_hash("sst2") == prompt_hash("sst2", "literal")
    # What the definition does to sentences before they are asked is a part of it.
    pair = {"sentence1": "A is B .", "sentence2": "B is A .", "label": 1}
    config = configuration(TASKS["paws"])
    assert ask(config, [pair]).prompt_hash != ask({**config, "process_docs": None}, [pair]).prompt_hash


def test_the_hub_names_are_the_ones_of_the_yaml() -> None:
    assert hub_source(configuration(TASKS["sst2"])) == HubSource("nyu-mll/glue", "sst2", "validation")
    assert hub_source(configuration(TASKS["yelp"])) == HubSource("fancyzhx/yelp_polarity", None, "test")
    assert hub_source(configuration(TASKS["scitail"])) == HubSource("allenai/scitail", "tsv_format", "validation")
    assert hub_source(configuration(TASKS["pubmedqa"])) == HubSource("qiaojin/PubMedQA", "pqa_labeled", "train")
    # Both come as programs, which the datasets library no longer runs; the hub keeps a conversion.
    converted = "refs/convert/parquet"
    logiqa = HubSource("EleutherAI/logiqa", "logiqa", "test", converted)
    assert hub_source(configuration(TASKS["logiqa"])) == logiqa
    tweets = HubSource("stanfordnlp/sentiment140", None, "test", converted)
    assert hub_source(configuration(TASKS["sentiment140"])) == tweets
    paws = HubSource("google-research-datasets/paws", "labeled_final", "test")
    assert hub_source(configuration(TASKS["paws"])) == paws


def test_texts_are_drawn_by_seed_with_label_and_words() -> None:
    reviews = read_rows(TASKS["reviews"], SHIPPED_REVIEWS)
    texts = task_texts("reviews", 10, seed=3)
    assert texts == task_texts("reviews", 10, seed=3)
    assert texts != task_texts("reviews", 10, seed=4)
    found = [next(i for i, row in enumerate(reviews) if row["text"] == text.text) for text in texts]
    assert found == sorted(set(found))
    for text, index in zip(texts, found, strict=True):
        assert (text.label, text.words) == (reviews[index]["label"], tuple(reviews[index]["words"]))
        assert (text.before, text.after) == ("", FIGURE_1)


def test_texts_of_numbered_labels_carry_the_answers_word(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "sst2.jsonl").write_text('{"sentence": "good", "label": 1}\n{"sentence": "bad", "label": 0}\n')
    texts = task_texts("sst2", 2, seed=0, data=tmp_path)
    assert [(text.text, text.label, text.words) for text in texts] == [
        ("good", "positive", None),
        ("bad", "negative", None),
    ]


def test_rows_are_taken_by_their_place_and_in_the_order_given() -> None:
    reviews = read_rows(TASKS["reviews"], SHIPPED_REVIEWS)
    texts = row_texts("reviews", [7, 0, 3])
    assert [text.text for text in texts] == [reviews[index]["text"] for index in (7, 0, 3)]
    assert [text.label for text in texts] == [reviews[index]["label"] for index in (7, 0, 3)]
    (drawn,) = task_texts("reviews", 1, seed=1)
    (same,) = row_texts("reviews", [next(i for i, row in enumerate(reviews) if row["text"] == drawn.text)])
    assert same == drawn


def test_bad_requests_say_what_is_allowed() -> None:
    with pytest.raises(BadInput, match=r"row 10000 of task reviews is asked for, but its rows are 0 to \d+"):
        row_texts("reviews", [0, 10_000])
    for count in (0, 10_000):
        with pytest.raises(BadInput, match="must be 1 to 3"):
            task_texts("reviews", count, seed=0)
    with pytest.raises(BadInput, match="real or literal"):
        prompt_around("yelp", "windows")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="'yelb' is not known; the tasks are yelp"):
        prompt_around("yelb")


def test_texts_of_a_prompt_with_several_fields_are_what_the_model_reads(tmp_path: Path) -> None:
    def one(task: str, row: dict[str, object]) -> PromptedText:
        (tmp_path / "eval").mkdir(exist_ok=True)
        (tmp_path / "eval" / f"{task}.jsonl").write_text(json.dumps(row) + "\n")
        (text,) = row_texts(task, [0], data=tmp_path)
        return text

    pair = {"sentence1": "It rains.", "sentence2": "It is dry.", "label": 1}
    tail = " True or False?\nAnswer:"
    assert one("rte", pair) == PromptedText("It rains.\nQuestion: It is dry.", "", tail, "False", None)
    arc = {"question": "Why?", "choices": {"text": ["so", "no"], "label": ["A", "B"]}, "answerKey": "B"}
    assert one("arc_easy", arc) == PromptedText("Why?", "Question: ", "\nAnswer:", "no", None)
    copa = {"premise": "It rained.", "choice1": "He ran.", "choice2": "He sat.", "question": "effect", "label": 0}
    assert one("copa", copa).text == "It rained therefore"
    for premise, read in (("It rained", "It rained"), ("It rained! ", "It rained"), ('He said "no"', 'He said "no"')):
        assert one("copa", copa | {"premise": premise}).text == f"{read} therefore"
    blank = {"sentence": "Ann slept as _ was tired.", "option1": "Ann", "option2": "Bob", "answer": "1"}
    assert one("winogrande", blank) == PromptedText("Ann slept as Ann was tired.", "", "", "Ann", None)
    paws = {"sentence1": "A is B .", "sentence2": "B is A .", "label": 1}
    assert one("paws", paws) == PromptedText("A is B, right? Yes, b is A.", "", "", "Yes", None)


def test_a_prompt_goes_around_other_texts_only_where_it_has_one_field() -> None:
    assert prompt_around("arc_easy") == ("Question: ", "\nAnswer:")
    for task in ("rte", "copa", "winogrande", "paws", "sciq", "openbookqa"):
        with pytest.raises(BadInput, match=f"the prompt of {task} does not contain exactly one field"):
            prompt_around(task)
