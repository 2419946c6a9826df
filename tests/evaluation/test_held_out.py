"""Held-out text is joined and cut as the published code does it, whether it comes from a file or the hub."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunescope.evaluation import held_out
from prunescope.evaluation.held_out import HUB, PERPLEXITY_SETS, held_out_windows
from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.loading import LanguageModel
from tests.models import tiny, tiny_tokenizer

# As the hub has them: wikitext's rows with their line ends and empty ones between them, ptb's sentences without.
WIKITEXT = ["", " = Robert Boulter = \n", "", " Robert Boulter is an actor . \n", " He was kind . \n"]
PTB = ["no it was n't black monday", "but while the <unk> did n't fall apart friday", "some circuit breakers"]
C4 = ["The room was small.\nThe food was bad.", "But the staff were kind."] * 3


def tiny_lm() -> LanguageModel:
    return LanguageModel(tiny("llama"), tiny_tokenizer(), "tiny", torch.float32, torch.device("cpu"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "calibration"
    folder.mkdir()
    # The published files: a blank line holds a blank, ptb's sentences stand between blanks.
    (folder / "wikitext2.test.txt").write_text("".join(row or " \n" for row in WIKITEXT))
    (folder / "ptb.test.txt").write_text("".join(f" {row} \n" for row in PTB))
    (folder / "c4.valid.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in C4))
    # What calibrates lies beside it, and is not read.
    for name in ("wikitext2.train.txt", "ptb.train.txt", "c4.jsonl"):
        (folder / name).write_text("calibration text")
    return tmp_path


PUBLISHED = {"wikitext2": "\n\n".join(WIKITEXT), "ptb": " ".join(PTB), "c4": " ".join(C4)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_windows_are_those_of_the_published_code(data: Path, name: str) -> None:
    """GPTQ's: the joined text tokenised at once, then `[:, i * seqlen : (i + 1) * seqlen]` for every whole window."""
    ids = tiny_tokenizer()(PUBLISHED[name], return_tensors="pt")["input_ids"]
    count = ids.numel() // 16
    wanted = torch.cat([ids[:, i * 16 : (i + 1) * 16] for i in range(count)])
    found = held_out_windows(tiny_lm(), name, seqlen=16, data=data, bos="never")
    assert torch.equal(found.windows, wanted) and count > 1 and not found.bos
    assert found.source == {"c4": "c4.valid.jsonl"}.get(name, f"{name}.test.txt")


@pytest.mark.parametrize(("name", "rows"), [("wikitext2", WIKITEXT), ("ptb", PTB), ("c4", C4)])
def test_the_hub_and_a_file_give_the_same_windows(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: str, rows: list[str]
) -> None:
    asked: list[object] = []

    def from_hub(repository: str, config: str | None, split: str, **more: object):
        asked.append((repository, config, split, more["revision"], more["limit"]))
        yield from ({HUB[name].field: row} for row in rows)

    monkeypatch.setattr(held_out, "dataset_rows", from_hub)
    theirs = held_out_windows(tiny_lm(), name, seqlen=16)
    assert theirs.sha256 == held_out_windows(tiny_lm(), name, seqlen=16, data=data).sha256
    source = HUB[name]
    assert asked == [(source.repository, source.config, source.split, source.revision, source.limit)]
    assert theirs.source == source.place and source.split in theirs.source


def test_a_hub_row_that_is_not_what_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "dataset_rows", lambda *_, **__: iter([{"text": "a"}, {"sentence": "b"}]))
    with pytest.raises(BadData, match=r"Salesforce/wikitext \(wikitext-2-raw-v1\), split test, row 1: field 'text'"):
        held_out_windows(tiny_lm(), "wikitext2")


def test_c4_is_256_windows_of_1100_pages_unless_asked_otherwise(data: Path) -> None:
    pages = [json.dumps({"text": f"page {number} was small"}) + "\n" for number in range(1200)]
    (data / "calibration" / "c4.valid.jsonl").write_text("".join(pages))
    usual = held_out_windows(tiny_lm(), "c4", seqlen=16, data=data)
    more = held_out_windows(tiny_lm(), "c4", seqlen=16, windows=100_000, data=data)
    assert len(usual.windows) == 256 < len(more.windows)
    assert torch.equal(usual.windows, more.windows[:256])
    text = tiny_tokenizer().decode(more.windows[-1])
    assert "1098" in text and usual.sha256 != more.sha256


def test_lengths_and_numbers_of_windows(data: Path) -> None:
    lm = tiny_lm()
    usual = held_out_windows(lm, "demo")
    assert usual.windows.shape[1] == 128 and usual.source == "demo/reviews.jsonl"
    few = held_out_windows(lm, "demo", seqlen=50, windows=3)
    assert torch.equal(few.windows[:, 1:].flatten(), usual.windows[:, 1:].flatten()[: 3 * 49])
    lm.model.config.max_position_embeddings = 131072
    assert held_out_windows(lm, "demo", windows=1).windows.shape == (1, 2048)
    assert held_out_windows(lm, "demo", windows=1, seqlen=4096).windows.shape == (1, 4096)


def test_every_window_begins_with_bos_where_the_tokenizer_puts_one(data: Path) -> None:
    lm = tiny_lm()
    assert lm.tokenizer is not None
    text = PUBLISHED["wikitext2"]
    plain = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    for bos in ("auto", "always"):
        found = held_out_windows(lm, "wikitext2", seqlen=16, data=data, bos=bos)
        assert found.windows[:, 0].tolist() == [0] * len(found.windows) and found.bos
        assert found.windows[:, 1:].flatten().tolist() == plain[: 15 * len(found.windows)]
    never = held_out_windows(lm, "wikitext2", seqlen=16, data=data, bos="never")
    assert never.sha256 != found.sha256, "figures of the two are never taken for comparable"
    without = tiny_tokenizer()
    without.backend_tokenizer.post_processor = None
    lm = replace(lm, tokenizer=without)
    auto = held_out_windows(lm, "wikitext2", seqlen=16, data=data)
    assert auto.windows.flatten().tolist() == plain[: auto.windows.numel()] and not auto.bos
    assert held_out_windows(lm, "wikitext2", seqlen=16, data=data, bos="always").sha256 == found.sha256


def test_files_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("the room was small\nand the food was bad " * 5)
    (tmp_path / "own.jsonl").write_text('{"text": "the room was small"}\n\n{"text": "and the food was bad "}\n' * 5)
    lm = tiny_lm()
    text = held_out_windows(lm, tmp_path / "own.txt", seqlen=16)
    assert (text.name, text.source) == (str(tmp_path / "own.txt"), "own.txt")
    rows = held_out_windows(lm, tmp_path / "own.jsonl", seqlen=16, name="ours")
    assert rows.name == "ours"
    assert tiny_tokenizer().decode(rows.windows[0]).startswith("<s>the room was small\nand the food was bad \nthe")


def test_what_cannot_be_measured_says_why(data: Path, tmp_path: Path) -> None:
    lm = tiny_lm()
    (tmp_path / "short.txt").write_text("small")
    with pytest.raises(BadData, match=r"short.txt: the text has \d+ tokens, fewer than one window of 100"):
        held_out_windows(lm, tmp_path / "short.txt", seqlen=100)
    with pytest.raises(BadInput, match="seqlen 129 is more than the 128 tokens that the model reads"):
        held_out_windows(lm, "demo", seqlen=129)
    with pytest.raises(BadInput, match="seqlen is 1, but must be at least 2"):
        held_out_windows(lm, "demo", seqlen=1)
    with pytest.raises(BadInput, match="bos 'sometimes' is unknown: auto, always, never"):
        held_out_windows(lm, "demo", bos="sometimes")
    nameless = tiny_tokenizer()
    nameless.backend_tokenizer.post_processor = None
    nameless.bos_token = None
    with pytest.raises(BadInput, match="bos always: the tokenizer has no BOS token"):
        held_out_windows(replace(lm, tokenizer=nameless), "demo", bos="always")
    with pytest.raises(BadInput, match="windows is 0, but must be at least 1"):
        held_out_windows(lm, "demo", windows=0)
    with pytest.raises(BadInput, match=r"'wikitext' is unknown \(did you mean wikitext2\?\): wikitext2, ptb"):
        held_out_windows(lm, "wikitext")
    with pytest.raises(BadData, match=r"none\.txt: no such text file"):
        held_out_windows(lm, tmp_path / "none.txt")
    with pytest.raises(BadInput, match="tiny has no tokenizer"):
        held_out_windows(replace(lm, tokenizer=None), "demo")
    with pytest.raises(BadData, match=r"data folder .* does not exist; give one with calibration/ptb.test.txt"):
        held_out_windows(lm, "ptb", data=tmp_path / "none")
    (data / "calibration" / "c4.valid.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(BadData, match=r"c4.valid.jsonl, line 2: field 'text' is missing"):
        held_out_windows(lm, "c4", data=data)


@pytest.mark.parametrize("name", [name for name in PERPLEXITY_SETS if name in ("wikitext2", "ptb", "demo")])
def test_the_real_texts(shared: Path, name: str) -> None:
    found = held_out_windows(tiny_lm(), name, data=shared / "datasets")
    assert len(found.windows) > 500


def test_without_a_file_and_without_the_hub_it_says_what_to_do(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """c4.jsonl is calibration text: never taken for held-out text, whatever else is missing."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    def unreachable(repository: str, *_: object, advice: str, **__: object):
        raise BadData(f"{repository} cannot be read from the hub (no network): {advice}")
        yield

    monkeypatch.setattr(held_out, "dataset_rows", unreachable)
    with pytest.raises(BadData, match=r"allenai/c4 cannot be read .*put c4.valid.jsonl into the folder calibration/"):
        held_out_windows(tiny_lm(), "c4", data=shared / "datasets")
