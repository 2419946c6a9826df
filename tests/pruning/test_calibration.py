import json
import random
from hashlib import sha256

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.loading import load
from prunescope.pruning import calibration_sources
from prunescope.pruning.calibration import CALIBRATION_SETS, EXAMPLE_SETS, MODES, calibration_windows
from prunescope.pruning.calibration_sources import HUB, OnHub
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SENTENCES = [f"the room number {n} was small but the food was good and the staff were kind " * 3 for n in range(30)]

ARC = [
    {"question": f"is it {n}", "choices": {"text": ["no", f"it is {n}"], "label": ["A", "B"]}, "answerKey": "AB"[n % 2]}
    for n in range(12)
]
PAIRS = [{"sentence1": f"the room is {n}", "sentence2": "it is", "label": n % 2} for n in range(12)]
TASK_ROWS = {
    "arc_challenge": ARC,
    "arc_easy": ARC,
    "boolq": [{"passage": f"the food was {n}", "question": "was it", "answer": n > 5} for n in range(12)],
    "rte": PAIRS,
    "sst2": [{"sentence": f"kind staff {n} ", "label": n % 2} for n in range(12)],
    "wnli": PAIRS,
}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "c4.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in [*SENTENCES, "short"]) + "\n")
    (folder / "wikitext2.train.txt").write_text(" = Title = \n\n" + "\n".join(SENTENCES))
    (folder / "ptb.train.txt").write_text("\n".join(SENTENCES))
    for name, rows in TASK_ROWS.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def windows_of(name, data=None, **given):
    return calibration_windows(name, TOKENIZER, **{"data": data, "context": 64, "samples": 6, "seqlen": 20} | given)


def test_c4_draws_as_the_authors_do(data):
    texts = [*SENTENCES, "short"]
    random.seed(7)
    expected = []
    for _ in range(6):
        while True:
            ids = TOKENIZER(texts[random.randint(0, len(texts) - 1)]).input_ids
            if len(ids) > 20:
                break
        start = random.randint(0, len(ids) - 20 - 1)
        expected.append(ids[start : start + 20])
    calibration = windows_of("c4", data, seed=7, bos="never")
    assert calibration.windows.tolist() == expected and calibration.bos is False
    assert (calibration.source, calibration.samples, calibration.seqlen, calibration.seed) == ("c4", 6, 20, 7)


@pytest.mark.parametrize(("name", "title"), [("wikitext2", [" = Title = ", ""]), ("ptb", [])])
def test_running_text_is_joined_by_spaces(data, name, title):
    ids = TOKENIZER(" ".join([*title, *SENTENCES]), verbose=False).input_ids
    rng = random.Random(0)
    starts = [rng.randint(0, len(ids) - 20 - 1) for _ in range(6)]
    assert windows_of(name, data, bos="never").windows.tolist() == [ids[start : start + 20] for start in starts]
    own = TOKENIZER(" ".join([*title, *SENTENCES]), add_special_tokens=False, verbose=False).input_ids
    rng = random.Random(0)
    starts = [rng.randint(0, len(own) - 19 - 1) for _ in range(6)]
    with_bos = windows_of(name, data)
    assert with_bos.windows.tolist() == [[0, *own[start : start + 19]] for start in starts] and with_bos.bos is True


@pytest.mark.parametrize("name", CALIBRATION_SETS)
@pytest.mark.parametrize("mode", MODES)
def test_every_window_begins_with_one_bos_or_none(data, name, mode):
    given = {"mode": mode} if name in EXAMPLE_SETS else {}
    folder = None if name == "demo" else data
    for bos in ("auto", "always"):
        calibration = windows_of(name, folder, bos=bos, **given)
        assert calibration.bos is True and (calibration.windows[:, 0] == 0).all()
        lengths = calibration.lengths if calibration.lengths is not None else [20] * 6
        for window, length in zip(calibration.windows, lengths, strict=True):
            assert not (window[1:length] == 0).any(), "never two"
    never = windows_of(name, folder, bos="never", **given)
    assert never.bos is False and never.sha256 != calibration.sha256
    if given:  # a page or running text has one before the whole, as published
        assert not (never.windows[:, 0] == 0).any()


def test_bos_that_cannot_be(tmp_path, data):
    with pytest.raises(BadInput, match="bos 'yes' is unknown: auto, always, never"):
        windows_of("c4", data, bos="yes")
    with pytest.raises(BadInput, match="seqlen 1 leaves no token of text beside the 1 that every window begins with"):
        windows_of("c4", data, seqlen=1)
    save_file({"input_ids": torch.ones(2, 4, dtype=torch.long)}, tmp_path / "ids.safetensors")
    assert windows_of(tmp_path / "ids.safetensors", samples=2, seqlen=4).bos is None
    with pytest.raises(BadInput, match="windows of token ids are used unchanged: leave bos out"):
        windows_of(tmp_path / "ids.safetensors", samples=2, seqlen=4, bos="always")


SOURCES = [(name, mode) for name in CALIBRATION_SETS for mode in (MODES if name in EXAMPLE_SETS else [None])]


@pytest.mark.parametrize(("name", "mode"), SOURCES)
def test_the_same_seed_gives_the_same_windows(data, name, mode):
    one, same, other = (windows_of(name, data, mode=mode, seed=seed) for seed in (0, 0, 1))
    samples, seqlen = one.windows.shape
    assert (samples, seqlen) == (one.samples, one.seqlen) and samples == 6 and seqlen <= 20
    assert one.windows.dtype == torch.int64 and one.mode == mode
    assert mode == "single" or (seqlen == 20 and one.lengths is None and one.tokens == 120)
    assert torch.equal(one.windows, same.windows) and one.sha256 == same.sha256
    assert not torch.equal(one.windows, other.windows) and one.sha256 != other.sha256


def test_the_hash_is_of_the_windows_and_their_lengths(data):
    full = windows_of("rte", data)
    assert full.sha256 == sha256(b"6x20" + full.windows.numpy().astype("<i8").tobytes()).hexdigest()
    padded = windows_of("sst2", data, mode="single", seqlen=200, context=256)
    assert padded.lengths is not None and padded.tokens == int(padded.lengths.sum()) < padded.windows.numel()
    content = f"6x{padded.seqlen}".encode() + padded.windows.numpy().astype("<i8").tobytes()
    assert padded.sha256 == sha256(content + padded.lengths.numpy().astype("<i8").tobytes()).hexdigest()


def test_examples_fill_a_window_or_stand_alone(data):
    examples = {
        f"kind staff {n} \nQuestion: Is this sentence positive or negative?\nAnswer: {('negative', 'positive')[n % 2]}"
        for n in range(12)
    }
    for window in windows_of("sst2", data, seqlen=250, context=256).windows:
        first, *between, _ = TOKENIZER.decode(window).removeprefix("<s>").split("\n\n")
        assert {first, *between} <= examples
    single = windows_of("sst2", data, mode="single", samples=12, seqlen=200, context=256)
    real = zip(single.windows, single.lengths, strict=True)
    assert {TOKENIZER.decode(window[:length]).removeprefix("<s>") for window, length in real} == examples


def test_windows_that_are_all_full_have_no_lengths(data):
    cut = windows_of("sst2", data, mode="single", seqlen=8)
    assert cut.windows.shape == (6, 8) and cut.lengths is None and cut.tokens == 48


def test_more_windows_than_examples(data):
    assert windows_of("wnli", data, samples=40).windows.shape == (40, 20)
    with pytest.raises(BadData, match="13 windows with one example each are asked for, but there are 12 different"):
        windows_of("wnli", data, mode="single", samples=13)


def test_modes_are_for_sets_of_examples(data, tmp_path):
    for name in ("c4", "wikitext2", "ptb", tmp_path / "mine.txt", tmp_path / "mine.safetensors"):
        with pytest.raises(BadInput, match=rf"{name} is not a set of examples and has no mode 'concat'"):
            windows_of(name, data, mode="concat")
    with pytest.raises(BadInput, match="mode 'one' is unknown: concat or single"):
        windows_of("rte", data, mode="one")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("rte", '{"sentence1": "a", "label": 1}', "rte.jsonl, line 13: field 'sentence2' is missing"),
        (
            "sst2",
            '{"sentence": "a", "label": "positive"}',
            "sst2.jsonl, line 13: field 'label' is 'positive', not 0 or",
        ),
        ("boolq", "not json", "boolq.jsonl, line 13: not JSON"),
        ("c4", '{"page": "a"}', "c4.jsonl, line 32: field 'text' is missing; it has 'page'"),
    ],
)
def test_rows_of_a_set_that_are_not_what_they_should_be(data, name, line, message):
    with (data / "calibration" / f"{name}.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadData, match=message):
        windows_of(name, data)


def test_line_ends_are_newlines_only(data):
    """Other characters that Python takes for line ends belong to the text."""
    (data / "calibration" / "ptb.train.txt").write_text("the room\x1cwas\u2028small\n" * 8)
    ids = TOKENIZER(" ".join(["the room\x1cwas\u2028small"] * 8)).input_ids
    assert windows_of("ptb", data, samples=1, seqlen=len(ids) - 1, context=128).windows[0].tolist() == ids[:-1]


def test_no_document_is_long_enough(data):
    longest = max(len(TOKENIZER(text).input_ids) for text in SENTENCES)
    with pytest.raises(BadData, match=f"no document has more than 1000 tokens, the longest of 31 has {longest}"):
        windows_of("c4", data, seqlen=1000, context=2000)


def test_the_demo_set_fills_windows_longer_than_its_documents():
    lm = load("demo")
    calibration = calibration_windows("demo", lm.tokenizer, context=512, samples=4)
    assert calibration.windows.shape == (4, 512)
    assert calibration.windows[:, 0].tolist() == [lm.tokenizer.bos_token_id] * 4
    assert not (calibration.windows[:, 1:] == lm.tokenizer.bos_token_id).any()


def test_defaults(data):
    calibration = calibration_windows("ptb", TOKENIZER, data=data, context=4096)
    assert (calibration.samples, calibration.seqlen) == (128, 2048)
    assert calibration_windows("ptb", TOKENIZER, data=data, context=32).seqlen == 32


def test_a_text_file_of_the_users(tmp_path):
    text = "the staff were kind, the food was bad.\n" * 20
    (tmp_path / "mine.txt").write_text(text)
    ids = TOKENIZER(text, verbose=False).input_ids
    windows = windows_of(tmp_path / "mine.txt", bos="never").windows.tolist()
    assert all(any(ids[place : place + 20] == window for place in range(len(ids))) for window in windows)
    with pytest.raises(BadData, match=f"the text has {len(ids)} tokens"):
        windows_of(tmp_path / "mine.txt", seqlen=5000, context=8000)
    (tmp_path / "mine.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadData, match=r"mine\.txt: not UTF-8"):
        windows_of(tmp_path / "mine.txt")


def test_documents_of_the_users_stand_one_after_another(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "the food"}\n\n{"text": "the staff", "more": 1}\n')
    windows = windows_of(file, samples=3, seqlen=12).windows
    for window in windows:
        pieces = TOKENIZER.decode(window[1:]).split("\n")
        assert window[0] == 0 and all(piece in ("the food", "the staff") for piece in pieces[:-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ('{"text": "a"}\n{"text": " "}', "line 2: field 'text' is empty"),
        ('{"text": "a"}\nnot json', r"mine\.jsonl, line 2: not JSON"),
        ('{"sentence": "a"}', "line 1: field 'text' is missing"),
        ('{"text": 3}', "line 1: field 'text' is 3, not a text"),
        ("[1]", r"line 1: not a JSON object with named fields; it begins with \[1\]"),
    ],
)
def test_documents_that_cannot_be_read(tmp_path, content, message):
    file = tmp_path / "mine.jsonl"
    file.write_text(content)
    tokenizer = TOKENIZER
    with pytest.raises(BadData, match=message):
        calibration_windows(file, tokenizer, samples=2, seqlen=4, context=8)


def test_stored_windows_are_taken_as_they_are(tmp_path):
    file = tmp_path / "mine.safetensors"
    ids = torch.arange(40, dtype=torch.int32).view(4, 10)
    save_file({"input_ids": ids}, file)
    assert calibration_windows(file, None, context=64).windows.tolist() == ids.tolist()
    cut = calibration_windows(file, None, context=64, samples=3, seqlen=5)
    assert cut.windows.tolist() == ids[:3, :5].tolist() and (cut.samples, cut.seqlen) == (3, 5)
    with pytest.raises(BadData, match="samples 5 asked for"):
        calibration_windows(file, None, context=64, samples=5)
    with pytest.raises(BadData, match="seqlen 11 asked for"):
        calibration_windows(file, None, context=64, seqlen=11)
    with pytest.raises(BadData, match="windows of 10 tokens, but the model reads 8"):
        calibration_windows(file, None, context=8)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"ids": torch.zeros(2, 2)}, "holds ids; input_ids"),
        ({"input_ids": torch.zeros(2, 2)}, r"torch\.float32 \[2, 2\]"),
        ({"input_ids": torch.zeros(4, dtype=torch.long)}, r"\[4\]"),
        ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"\[0, 4\]"),
    ],
)
def test_stored_windows_of_another_kind(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "mine.safetensors")
    with pytest.raises(BadData, match=message):
        calibration_windows(tmp_path / "mine.safetensors", None, context=64)


def test_names_files_and_sizes_that_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"'wikitext' is unknown \(did you mean wikitext2\?\): c4, wikitext2, ptb, arc_"):
        windows_of("wikitext")
    with pytest.raises(BadData, match="no such calibration file"):
        windows_of(tmp_path / "gone.jsonl")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    with pytest.raises(BadData, match="not a readable safetensors"):
        windows_of(tmp_path / "broken.safetensors")
    with pytest.raises(BadInput, match="no tokenizer"):
        calibration_windows("demo", None, context=64)
    with pytest.raises(BadInput, match="samples 0"):
        windows_of("demo", samples=0)
    with pytest.raises(BadInput, match="seqlen 100 is more than the 64"):
        windows_of("demo", seqlen=100)


def test_no_local_data_and_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    for name, source in HUB.items():
        file = f"{name}.train.txt" if name in ("wikitext2", "ptb") else f"{name}.jsonl"
        with pytest.raises(BadData, match=rf"{source.repository} cannot be read .*put {file} into .*or use demo"):
            windows_of(name, tmp_path)
    with pytest.raises(BadData, match=r"data folder \S+gone does not exist; give one with calibration/rte\.jsonl"):
        windows_of("rte", tmp_path / "gone")


HUB_ROWS = {
    "c4": [{"text": text, "url": "there"} for text in [*SENTENCES, "short"]],
    "wikitext2": [{"text": text} for text in [" = Title = \n", "", *(f"{text}\n" for text in SENTENCES)]],
    "ptb": [{"sentence": text} for text in SENTENCES],
    **TASK_ROWS,
}


@pytest.mark.parametrize("name", HUB)
def test_the_hub_and_a_file_give_the_same_windows(data, monkeypatch, name):
    asked = []

    def rows(repository, config, split, **more):
        asked.append((OnHub(repository, config, more["revision"], more["limit"]), split))
        yield from HUB_ROWS[name]

    monkeypatch.setattr(calibration_sources, "dataset_rows", rows)
    assert windows_of(name).sha256 == windows_of(name, data).sha256
    assert asked == [(HUB[name], "train")]


def test_rows_of_the_hub_that_are_not_what_they_should_be(monkeypatch):
    monkeypatch.setattr(calibration_sources, "dataset_rows", lambda *_, **__: iter([PAIRS[0], {"text": 3}]))
    with pytest.raises(BadData, match=r"nyu-mll/glue \(rte\), split train, row 1: field 'sentence2' is missing"):
        windows_of("rte")
    with pytest.raises(
        BadData, match=r"Salesforce/wikitext \(wikitext-2-raw-v1\), split train, row 0: field 'text' is missing or no"
    ):
        windows_of("wikitext2")


@pytest.mark.parametrize(("name", "mode"), [source for source in SOURCES if source[0] not in ("wikitext2", "demo")])
def test_the_real_sets(shared, name, mode):
    length = 700 if name == "c4" else 2000
    calibration = windows_of(name, shared / "datasets", mode=mode, context=2048, samples=64, seqlen=length)
    assert len(calibration.windows) == 64
    if mode == "single":
        assert calibration.lengths is not None and calibration.lengths.max() == calibration.seqlen <= 2000
    else:
        assert calibration.seqlen == length and calibration.lengths is None
    if mode is not None:
        assert all("Answer:" in text for text in TOKENIZER.batch_decode(calibration.windows))


def test_the_real_pages_are_short(shared):
    with pytest.raises(BadData, match=r"more than 4000 tokens, the longest of 1475 has \d{4}: give a seqlen below"):
        windows_of("c4", shared / "datasets", context=8192, samples=2, seqlen=4000)
