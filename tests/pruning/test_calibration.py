import json
import random
from hashlib import sha256

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from lm.errors import BadData, BadInput
from lm.loading import load
from pruning.calibration import CALIBRATION_SETS, calibration_windows
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SENTENCES = [f"the room number {n} was small but the food was good and the staff were kind " * 3 for n in range(30)]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / "c4.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in [*SENTENCES, "short"]) + "\n")
    (folder / "wikitext2.train.txt").write_text(" = Title = \n\n" + "\n".join(SENTENCES))
    (folder / "ptb.train.txt").write_text("\n".join(SENTENCES))
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
    calibration = windows_of("c4", data, seed=7)
    assert calibration.windows.tolist() == expected
    assert (calibration.source, calibration.samples, calibration.seqlen, calibration.seed) == ("c4", 6, 20, 7)


@pytest.mark.parametrize(("name", "title"), [("wikitext2", [" = Title = ", ""]), ("ptb", [])])
def test_running_text_is_joined_by_spaces(data, name, title):
    ids = TOKENIZER(" ".join([*title, *SENTENCES]), verbose=False).input_ids
    rng = random.Random(0)
    starts = [rng.randint(0, len(ids) - 20 - 1) for _ in range(6)]
    assert windows_of(name, data).windows.tolist() == [ids[start : start + 20] for start in starts]


@pytest.mark.parametrize("name", CALIBRATION_SETS)
def test_the_same_seed_gives_the_same_windows(data, name):
    one, same, other = windows_of(name, data), windows_of(name, data), windows_of(name, data, seed=1)
    assert one.windows.shape == (6, 20) and one.windows.dtype == torch.int64
    assert torch.equal(one.windows, same.windows) and one.sha256 == same.sha256
    assert not torch.equal(one.windows, other.windows) and one.sha256 != other.sha256
    assert one.sha256 == sha256(b"6x20" + one.windows.numpy().astype("<i8").tobytes()).hexdigest()


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
    windows = windows_of(tmp_path / "mine.txt").windows.tolist()
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
        ("[1]", r"line 1: no JSON object with named fields; it begins with \[1\]"),
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
    with pytest.raises(BadData, match=r"allenai/c4 cannot be read from the hub .*put c4\.jsonl into .*or use demo"):
        windows_of("c4", tmp_path)
    with pytest.raises(BadData, match=r"put wikitext2\.train\.txt into"):
        windows_of("wikitext2")


def test_the_real_c4(shared):
    calibration = windows_of("c4", shared / "datasets", context=512, samples=2, seqlen=64)
    assert calibration.windows.shape == (2, 64)
