import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunescope.evaluation import TaskResult, evaluate
from prunescope.lm.errors import BadData, BadInput, BadText, Cancelled
from prunescope.lm.loading import LanguageModel
from tests.models import tiny, tiny_tokenizer


def tiny_lm() -> LanguageModel:
    return LanguageModel(tiny("llama"), tiny_tokenizer(), "tiny", torch.float32, torch.device("cpu"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "eval").mkdir()
    rows = [{"sentence": "so " * (1 + 5 * n % 23) + f"bad {n}", "label": int(n % 4 == 0)} for n in range(11)]
    (tmp_path / "eval" / "sst2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_result_holds_what_it_stands_on(data: Path) -> None:
    result = evaluate(tiny_lm(), ["sst2"], data=data)["sst2"]
    correct = sum(e.chosen == e.answer for e in result.examples)
    assert (result.task, result.rows, result.accuracy) == ("sst2", 11, correct / 11)
    assert result.interval[0] <= result.accuracy <= result.interval[1]
    assert (result.chance, result.majority, result.version) == (0.5, 8 / 11, "1.0")
    assert [e.index for e in result.examples] == list(range(11))
    assert [e.answer for e in result.examples] == [int(n % 4 == 0) for n in range(11)]
    for example in result.examples:
        assert example.text.endswith("\nQuestion: Is this sentence positive or negative?\nAnswer:")
        assert example.choices == ["negative", "positive"]
        assert example.scores[example.chosen] == max(example.scores)


def test_the_batch_size_changes_no_score(data: Path) -> None:
    def scores(result: TaskResult) -> list[float]:
        return [score for example in result.examples for score in example.scores]

    lm = tiny_lm()
    one, many = (evaluate(lm, ["sst2"], data=data, batch=batch)["sst2"] for batch in (1, 16))
    assert scores(one) == pytest.approx(scores(many), rel=1e-5)


def test_progress_counts_rows_and_limit_takes_the_first(data: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    result = evaluate(tiny_lm(), ["sst2"], data=data, limit=5, batch=2, on_batch=lambda *now: seen.append(now))
    done = [rows for _, rows, _ in seen]
    assert done[0] == 0 and done[-1] == 5 and done == sorted(done) and len(done) > 3
    assert {(task, total) for task, _, total in seen} == {("sst2", 5)}
    assert [e.index for e in result["sst2"].examples] == [0, 1, 2, 3, 4]


def test_progress_may_stop_it_at_the_next_batch(data: Path) -> None:
    seen: list[int] = []

    def stop(task: str, done: int, total: int) -> None:
        seen.append(done)
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate(tiny_lm(), ["sst2"], data=data, batch=2, on_batch=stop)
    assert seen[-1] <= 2 and not any(seen[:-1])


def test_every_task_is_checked_before_the_first_is_scored(data: Path) -> None:
    (data / "eval" / "yelp.jsonl").write_text('{"text": "fine"}\n')
    seen: list[object] = []
    with pytest.raises(BadData, match=r"yelp.jsonl, line 1: field 'label' is missing"):
        evaluate(tiny_lm(), ["sst2", "yelp"], data=data, on_batch=lambda *now: seen.append(now))
    assert not seen


def test_a_prompt_beyond_the_context_is_cut_and_counted(data: Path) -> None:
    (data / "eval" / "yelp.jsonl").write_text(
        '{"text": "fine", "label": 1}\n' + json.dumps({"text": "so " * 200, "label": 0}) + "\n"
    )
    result = evaluate(tiny_lm(), ["yelp"], data=data)["yelp"]
    assert result.truncated == 1
    assert result.examples[1].text.startswith("so so")  # the whole prompt is kept, whatever the model read of it


def test_an_answer_that_does_not_fit_the_context_names_its_row(data: Path) -> None:
    lm = tiny_lm()
    lm.model.config.max_position_embeddings = 3
    with pytest.raises(BadText, match=r"task sst2, row 0: answer .* must be 1 to 3"):
        evaluate(lm, ["sst2"], data=data)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_a_model_that_gives_no_numbers_is_an_error_that_names_the_row(value: float, data: Path) -> None:
    lm = tiny_lm()
    lm.model.get_input_embeddings().weight.fill_(value)
    with pytest.raises(BadInput, match=r"task sst2, row \d+: tiny gives no finite number for choice '\w+'"):
        evaluate(lm, ["sst2"], data=data)


def test_bad_requests_say_what_is_allowed(data: Path) -> None:
    lm = tiny_lm()
    with pytest.raises(BadInput, match="name at least one"):
        evaluate(lm, [])
    with pytest.raises(BadInput, match="limit is 0, but must be at least 1"):
        evaluate(lm, ["sst2"], data=data, limit=0)
    with pytest.raises(BadInput, match="batch is 0, but must be at least 1"):
        evaluate(lm, ["sst2"], data=data, batch=0)
    with pytest.raises(BadInput, match="task 'boolk' is not known"):
        evaluate(lm, ["sst2", "boolk"], data=data)
    without = replace(lm, tokenizer=None)
    with pytest.raises(BadInput, match="tiny has no tokenizer"):
        evaluate(without, ["sst2"], data=data)
