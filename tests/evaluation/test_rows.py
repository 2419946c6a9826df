import json
from pathlib import Path

import pytest

from evaluation.catalogue import SHIPPED_REVIEWS, TASKS, find_task
from evaluation.rows import HubSource, hub_rows, read_rows, task_rows
from lm.errors import BadData, BadInput

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
    with pytest.raises(BadInput, match=r"task 'sst' is not known; the tasks are sst2, reviews, yelp"):
        find_task("sst")
