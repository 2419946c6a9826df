import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunescope.evaluation.catalogue import PUBMEDQA_TEST, SHIPPED_REVIEWS, TASKS, find_task
from prunescope.evaluation.rows import HubSource, hub_rows, read_rows, task_rows
from prunescope.lm.errors import BadData, BadInput

HUB = HubSource("nobody/has-this-data-set", None, "test")


def written(folder: Path, *lines: object, task: str = "sst2") -> Path:
    """`folder/eval/<task>.jsonl` with these rows; a text is a line as it is."""
    path = folder / "eval" / f"{task}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_a_local_file_comes_before_the_hub(tmp_path: Path) -> None:
    written(tmp_path, {"sentence": "fine . ", "label": 1, "idx": 7}, "", {"sentence": "dull", "label": 0})
    rows = task_rows(TASKS["sst2"], HUB, tmp_path)
    assert rows == [{"sentence": "fine . ", "label": 1}, {"sentence": "dull", "label": 0}]


def test_a_local_file_comes_before_the_reviews_that_ship(tmp_path: Path) -> None:
    written(tmp_path, {"text": "fine", "label": "positive", "words": ["fine"]}, task="reviews")
    assert task_rows(TASKS["reviews"], HUB, tmp_path) == [{"text": "fine", "label": "positive", "words": ["fine"]}]
    assert task_rows(TASKS["reviews"], HUB, None) == read_rows(TASKS["reviews"], SHIPPED_REVIEWS)


def test_the_shipped_reviews_are_sound() -> None:
    rows = read_rows(TASKS["reviews"], SHIPPED_REVIEWS)
    assert len(rows) >= 300
    assert {row["label"] for row in rows} == {"negative", "positive"}
    assert all(row["words"] for row in rows)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "a JSON list, but a row is an object with sentence and label"),
        ({"label": 1}, "field 'sentence' is missing; it has 'label'"),
        ({"sentence": "a"}, "field 'label' is missing"),
        ({"sentence": 3, "label": 1}, "field 'sentence' is a JSON number"),
        ({"sentence": " \n", "label": 1}, "field 'sentence' is empty"),
        ({"sentence": "a", "label": 2}, "field 'label' is 2, but must be 0 or 1"),
        ({"sentence": "a", "label": True}, "field 'label' is true, but must be 0 or 1"),
        ({"sentence": "a", "label": "positive"}, "field 'label' is \"positive\", but must be 0 or 1"),
        ({"sentence": "a", "label": 1, "words": "a"}, "field 'words' must be a list of words"),
    ],
)
def test_a_wrong_row_is_named_by_file_line_and_field(tmp_path: Path, line: object, said: str) -> None:
    path = written(tmp_path, {"sentence": "fine", "label": 1}, line)
    with pytest.raises(BadData) as caught:
        task_rows(TASKS["sst2"], HUB, tmp_path)
    assert f"{path}, line 2: " in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ("boolq", {"passage": "p", "question": "q"}, "field 'answer' is missing"),
        ("pubmedqa", {"QUESTION": "q", "final_decision": "yes"}, "field 'CONTEXTS' is missing"),
        (
            "logiqa",
            {"context": "c", "query": "q", "options": ["a", "b", "c", "d"], "correct_option": 4},
            "is 4, but must be 0 or 1 or 2 or 3",
        ),
        ("boolq", {"passage": "p", "question": "q", "answer": 1}, "field 'answer' is 1, but must be true or false"),
        ("boolq", {"passage": "p", "question": "q", "label": 2}, "field 'label' is 2, but must be 0 or 1"),
        ("sentiment140", {"text": "t", "sentiment": 3}, "field 'sentiment' is 3, but must be 0 or 4"),
        (
            "arc_easy",
            {"question": "q", "choices": [], "answerKey": "A"},
            "field 'choices' is a JSON list, but must be an",
        ),
        ("arc_easy", {"question": "q", "choices": {"text": ["a", "b"]}, "answerKey": "A"}, "'choices' has no 'label'"),
        (
            "arc_easy",
            {"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"},
            "has a 'text' that has 1",
        ),
        (
            "arc_easy",
            {"question": "q", "choices": {"text": ["a", ""], "label": ["A", "B"]}, "answerKey": "A"},
            "number 2 that is",
        ),
        (
            "arc_easy",
            {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B", "C"]}, "answerKey": "A"},
            "3 labels",
        ),
        (
            "arc_easy",
            {"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"},
            "'A' or 'B'",
        ),
        ("wic", {"sentence1": "a word", "sentence2": "b", "start1": 2, "end1": 9, "label": 0}, "field 'end1' is 9"),
        ("wic", {"sentence1": "a word", "sentence2": "b", "start1": -2, "end1": 6, "label": 0}, "an integer from 0"),
        (
            "copa",
            {"premise": ".", "choice1": "a", "choice2": "b", "question": "cause", "label": 0},
            "has no word in it",
        ),
        (
            "copa",
            {"premise": "p", "choice1": "a", "choice2": "b", "question": "why", "label": 0},
            '"cause" or "effect"',
        ),
        (
            "logiqa",
            {"context": "c", "question": "q", "options": ["a", "b"], "label": "a"},
            "has 2 texts, but must have 4",
        ),
        ("winogrande", {"sentence": "s", "option1": "a", "option2": "b", "answer": "1"}, "has no '_' in the place"),
        (
            "wsc273",
            {"text": "so he", "pronoun": "he", "pronoun_loc": 1, "options": ["a", "b"], "label": 0},
            "'he' does not",
        ),
        ("race", {"article": "a", "question": "q", "options": ["a", "b", "c", "d"], "answer": "E"}, '"D"'),
        (
            "copa",
            {"premise": "p", "choice1": "a\ud800", "choice2": "b", "question": "cause", "label": 0},
            r"field 'choice1' holds half of a character ('\ud800' at character 1)",
        ),
        (
            "sciq",
            dict.fromkeys(("question", "distractor1", "distractor2", "distractor3", "correct_answer"), "t")
            | {"support": "\udfff"},
            "field 'support' holds half of a character",
        ),
        ("race", {"article": "a", "problems": "import os"}, "is not a list in Python syntax"),
        ("race", {"article": "a", "problems": "[{'question': 'q'}]"}, "has a question that has no 'answer'"),
        ("race", {"article": "a", "problems": "[]"}, "is not a list of questions"),
        (
            "mednli",
            {"sentence1": "a", "sentence2": "b", "gold_label": "-"},
            '"entailment" or "neutral" or "contradiction"',
        ),
    ],
)
def test_a_wrong_row_of_any_task_says_what_is_wrong(
    tmp_path: Path, task: str, row: dict[str, object], said: str
) -> None:
    path = written(tmp_path, row, task=task)
    with pytest.raises(BadData) as caught:
        read_rows(TASKS[task], path)
    assert f"{path}, line 1: field " in str(caught.value) and said in str(caught.value)


def test_rows_become_what_the_definition_reads(tmp_path: Path) -> None:
    def read(task: str, *rows: object) -> list[dict[str, object]]:
        return read_rows(TASKS[task], written(tmp_path, *rows, task=task))

    passage = {"passage": "p", "question": "q"}
    assert read("boolq", {**passage, "answer": True, "x": 1}, {**passage, "label": 0}) == [
        {**passage, "label": 1},
        {**passage, "label": 0},
    ]
    tweets = [{"text": text, "sentiment": given} for text, given in (("good", 4), ("so so", 2), ("bad", 0))]
    assert read("sentiment140", *tweets) == [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
    medical = {"sentence1": "a", "sentence2": "b", "gold_label": "contradiction"}
    assert read("mednli", medical) == [{"premise": "a", "hypothesis": "b", "label": 2}]
    question = {"question": "q's?", "options": ["a", "b", "c", "d"], "answer": "B"}
    (race,) = read("race", {"article": "once", **question})
    assert ast.literal_eval(str(race["problems"])) == [question] and read("race", race) == [race]
    abstract = {"question": "q", "context": {"contexts": ["a", "b"]}, "final_decision": "maybe"}
    (pubmed,) = read("pubmedqa", abstract)
    assert pubmed == {"QUESTION": "q", "CONTEXTS": ["a", "b"], "final_decision": "maybe"}
    assert read("pubmedqa", pubmed) == [pubmed]


def test_medical_inference_comes_from_a_local_file_alone() -> None:
    with pytest.raises(BadData, match=r"MedNLI is credentialed data of PhysioNet.*eval/mednli\.jsonl"):
        task_rows(TASKS["mednli"], HUB, None)


def test_of_a_hub_split_with_more_only_the_rows_of_the_task_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub has all labelled questions of PubMedQA in one split; 500 of them are the test."""
    row = {"question": "q", "context": {"contexts": ["a"]}, "final_decision": "yes"}
    ids = PUBMEDQA_TEST.read_text().splitlines()[1].split()
    offered = [{**row, "pubid": 1}, *({**row, "pubid": int(id)} for id in ids)]
    limits = []

    def hub(*names: object, limit: int | None, **more: object) -> Iterator[dict[str, object]]:
        limits.append(limit)
        return iter(offered[:limit])

    monkeypatch.setattr("prunescope.lm.hub.dataset_rows", hub)
    assert len(hub_rows(TASKS["pubmedqa"], HUB)) == len(ids)
    assert len(hub_rows(TASKS["pubmedqa"], HUB, limit=3)) == 3
    offered[:] = [{"text": "a", "label": 1}] * 5
    assert len(hub_rows(TASKS["yelp"], HUB, limit=2)) == 2
    assert limits == [None, None, 2]


def test_bytes_that_are_no_text_are_named_by_line(tmp_path: Path) -> None:
    path = written(tmp_path, {"sentence": "fine", "label": 1})
    path.write_bytes(path.read_bytes() + b'{"sentence": "\xff", "label": 1}\n')
    with pytest.raises(BadData, match="line 2: not UTF-8"):
        read_rows(TASKS["sst2"], path)


def test_no_rows_and_no_folder_say_so(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(BadData, match=r"no rows; task sst2 needs lines with sentence and label"):
        task_rows(TASKS["sst2"], HUB, tmp_path)
    (tmp_path / "eval" / "yelp.jsonl").mkdir()
    with pytest.raises(BadData, match=r"yelp\.jsonl: cannot be read \(Is a directory\)"):
        task_rows(TASKS["yelp"], HUB, tmp_path)
    with pytest.raises(BadData, match="does not exist"):
        task_rows(TASKS["sst2"], HUB, tmp_path / "nowhere")


def test_a_folder_without_the_task_goes_on_to_the_hub_which_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub library's own offline switch: no test waits for a network, whether there is one or not.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for rows in (lambda: task_rows(TASKS["yelp"], HUB, tmp_path), lambda: hub_rows(TASKS["yelp"], HUB)):
        with pytest.raises(BadData) as caught:
            rows()
        assert "nobody/has-this-data-set" in str(caught.value)
        assert "put the rows of task yelp into eval/yelp.jsonl" in str(caught.value)


def test_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"task 'sst' is not known; the tasks are sst2, .*arc_challenge"):
        find_task("sst")
