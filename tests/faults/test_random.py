"""Models and files with one thing wrong, made at random, through the stages: one line and nothing left behind, or a
result that brute force gives too.

A run takes EXAMPLES of each kind; `PRUNESCOPE_FAULTS=1000` in the environment takes more.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from prunescope.lm.architecture import decoder_layers, down_projection, linears, weight_view
from tests.cli.conftest import Command
from tests.faults.conftest import one_line
from tests.models import CONTEXT, tiny, tiny_folder

EXAMPLES = int(os.environ.get("PRUNESCOPE_FAULTS", "15"))
SEQLEN = 16
WINDOWS = torch.randint(0, 300, (4, SEQLEN), generator=torch.Generator().manual_seed(3))
CORPUS = "The room was small and the food was bad, but the staff were kind and the beds soft. " * 12
ROWS = [
    {"text": "the room was small and the food was bad", "label": "negative", "words": ["bad"]},
    {"text": "we liked the kind staff a lot", "label": "positive", "words": ["kind", "liked"]},
]

# A file's contents are part of what is drawn, so that a failing example can be read and shrinks.
Fault = Callable[[Path], None]
often = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.sampled_from([10**9, 2**31, 2**63, 10**30, -1]),
    st.floats(),
    st.sampled_from(["", "auto", "float32", "gelu", "relu", "llama", "gpt2", "x" * 300, "\ud800", "\0", "../x"]),
    st.lists(st.integers(-2, 5), max_size=3),
    st.dictionaries(st.sampled_from(["type", "rope_type", "factor", "a"]), st.integers(0, 4), max_size=2),
)


@st.composite
def json_faults(draw: st.DrawFn) -> tuple[str, Fault]:
    """One value of one JSON file replaced, removed, or under another name."""
    name = draw(st.sampled_from(["config.json", "config.json", "tokenizer_config.json", "generation_config.json"]))
    place, how, value = draw(st.integers(0, 60)), draw(st.sampled_from(["set", "set", "drop", "rename"])), draw(values)

    def change(folder: Path) -> None:
        document: dict[str, Any] = json.loads((folder / name).read_text())
        key = list(document)[place % len(document)]
        before = document.pop(key)
        if how != "drop":
            document[key if how == "set" else f"{key}_"] = value if how == "set" else before
        (folder / name).write_text(json.dumps(document))

    return f"{name}: key {place}: {how} {value!r}", change


@st.composite
def byte_faults(draw: st.DrawFn) -> tuple[str, Fault]:
    """One byte of one file changed, added or removed, or its end cut off."""
    name = draw(st.sampled_from(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]))
    part, how, byte = (
        draw(st.floats(0, 1)),
        draw(st.sampled_from(["set", "insert", "drop", "cut"])),
        draw(st.binary(min_size=1, max_size=1)),
    )

    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        at = int(part * (len(data) - 1))
        match how:
            case "set":
                data[at : at + 1] = byte
            case "insert":
                data[at:at] = byte
            case "drop":
                del data[at]
            case _:
                del data[at:]
        (folder / name).write_bytes(data)

    return f"{name}: {how} {byte!r} at {part:.6f}", change


@st.composite
def tensor_faults(draw: st.DrawFn) -> tuple[str, Fault]:
    """One tensor gone, renamed, of another shape or type, or with numbers that are none or all the same."""
    place = draw(st.integers(0, 200))
    how = draw(
        st.sampled_from(
            ["drop", "rename", "transpose", "shorten", "float64", "int8", "nan", "inf", "zero", "ties", "twice"]
        )
    )

    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        name = sorted(tensors)[place % len(tensors)]
        value = tensors[name]
        match how:
            case "drop":
                del tensors[name]
            case "rename":
                tensors[f"{name}x"] = tensors.pop(name)
            case "transpose":
                tensors[name] = value.permute(*reversed(range(value.dim()))).contiguous()
            case "shorten":
                tensors[name] = value[:-1].contiguous()
            case "float64":
                tensors[name] = value.double()
            case "int8":
                tensors[name] = (value * 10).to(torch.int8)
            case "nan" | "inf":
                value.view(-1)[place % value.numel()] = float(how)
            case "zero":
                value.zero_()
            case "ties":
                tensors[name] = torch.sign(value) * 0.1
            case _:
                tensors[f"other.{name}"] = value.clone()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return f"tensor {place}: {how}", change


@st.composite
def file_faults(draw: st.DrawFn) -> tuple[str, Fault]:
    """One file gone, empty, or a folder in its place; or one too many."""
    name = draw(st.sampled_from(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]))
    how = draw(st.sampled_from(["gone", "empty", "folder", "index", "adapter"]))

    def change(folder: Path) -> None:
        match how:
            case "gone":
                (folder / name).unlink()
            case "empty":
                (folder / name).write_bytes(b"")
            case "folder":
                (folder / name).unlink()
                (folder / name).mkdir()
            case "index":
                (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "gone.safetensors"}}')
            case _:
                (folder / "adapter_config.json").write_text("{}")

    return f"{name}: {how}", change


faults = st.one_of(json_faults(), byte_faults(), tensor_faults(), file_faults())
families = st.sampled_from(["llama", "gpt2", "opt", "gpt_neox", "mistral"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "corpus.txt").write_text(CORPUS)
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    save_file({"input_ids": WINDOWS}, folder / "windows.safetensors")
    return folder


def broken(whole: Path, work: Path, fault: Fault, family: str = "llama") -> Path:
    if not (whole / family).is_dir():
        tiny_folder(whole / family, family)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    folder = work / "model"
    shutil.copytree(whole / family, folder)
    fault(folder)
    return folder


def left(work: Path) -> set[str]:
    return {path.name for path in work.iterdir()} - {"model"}


def matrices(family: str) -> dict[str, bool]:
    """The matrices that are pruned, by name, and whether they are stored as [columns, rows]."""
    model = tiny(family)
    of_layers = {module for layer in decoder_layers(model) for module in linears(layer).values()}
    return {
        f"{name}.weight": isinstance(module, Conv1D) for name, module in model.named_modules() if module in of_layers
    }


@often
@given(fault=faults, family=families)
def test_pruning_a_model_with_one_thing_wrong(
    command: Command, whole: Path, tmp_path: Path, fault: tuple[str, Fault], family: str
) -> None:
    work = tmp_path / "work"
    folder = broken(whole, work, fault[1], family)
    result = command("prune", folder, "--method", "magnitude", "--sparsity", 0.5, "--output", work / "out")
    if one_line(result, (0, 2)):
        assert left(work) == set()
        return
    stored, pruned = load_file(folder / "model.safetensors"), load_file(work / "out" / "model.safetensors")
    assert set(pruned) <= set(stored)
    turned = matrices(family)
    for name, value in pruned.items():
        before = stored[name]
        assert value.dtype == before.dtype, name
        if name in turned:
            weight = before.T if turned[name] else before
            # The authors' rule takes the weight at the threshold too; a tie beyond it stays.
            order = weight.abs().float().flatten().argsort(stable=True)
            expected = weight.flatten().clone()
            expected[order[: weight.numel() // 2 + 1]] = 0
            assert torch.equal(value.T if turned[name] else value, expected.view_as(weight)), name
            assert bool(weight.isfinite().all()), name
        else:
            assert value.numpy().tobytes() == before.numpy().tobytes(), name


@torch.no_grad()
def slow_wanda(model: PreTrainedModel) -> None:
    """For each layer passes of the whole model, window by window."""
    for layer in decoder_layers(model):
        inputs: dict[str, list[torch.Tensor]] = {name: [] for name in linears(layer)}
        handles = [
            module.register_forward_pre_hook(lambda _, args, kept=inputs[name]: kept.append(args[0].flatten(0, -2)))
            for name, module in linears(layer).items()
        ]
        for window in WINDOWS:
            model(input_ids=window[None])
        for handle in handles:
            handle.remove()
        for name, module in linears(layer).items():
            weight = weight_view(module)
            norm = torch.cat(inputs[name]).square().mean(dim=0).sqrt()
            score = weight.abs() * norm
            gone = score.sort(dim=-1, stable=True).indices[:, : int(weight.shape[1] * 0.5)]
            weight.scatter_(1, gone, 0)


@often
@given(fault=faults, family=families)
def test_pruning_by_calibration_a_model_with_one_thing_wrong(
    command: Command, whole: Path, tmp_path: Path, fault: tuple[str, Fault], family: str
) -> None:
    work = tmp_path / "work"
    folder = broken(whole, work, fault[1], family)
    windows = ("--calibration", whole / "windows.safetensors", "--dtype", "float32")
    result = command("prune", folder, "--method", "wanda", "--sparsity", 0.5, *windows, "--output", work / "out")
    if one_line(result, (0, 2)):
        assert left(work) == set()
        return
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    slow_wanda(expected)
    pruned = AutoModelForCausalLM.from_pretrained(work / "out", dtype=torch.float32, use_safetensors=True)
    for (name, one), other in zip(pruned.named_parameters(), expected.named_parameters(), strict=True):
        # The sums of the norms are taken in another order.
        assert ((one == 0) == (other[1] == 0)).float().mean() > 0.99, name


@often
@given(fault=faults)
def test_the_perplexity_of_a_model_with_one_thing_wrong(
    command: Command, whole: Path, tmp_path: Path, fault: tuple[str, Fault]
) -> None:
    work = tmp_path / "work"
    folder = broken(whole, work, fault[1])
    corpus, written = whole / "corpus.txt", work / "result.json"
    sizes = ("--seqlen", SEQLEN, "--windows", 3, "--dtype", "float32")
    result = command("evaluate", folder, "--perplexity", corpus, *sizes, "--bos", "never", "--json", written)
    if one_line(result, (0, 2)):
        assert left(work) == set()
        return
    (measured,) = json.loads(written.read_text())["perplexity"].values()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    ids = AutoTokenizer.from_pretrained(folder)(CORPUS)["input_ids"]
    losses = []
    for window in torch.tensor(ids[: 3 * SEQLEN]).view(3, SEQLEN):
        with torch.no_grad():
            losses.append(model(input_ids=window[None], labels=window[None]).loss.double())
    assert measured["perplexity"] == pytest.approx(float(torch.stack(losses).mean().exp()), rel=1e-4)


def brute_activations(model: torch.nn.Module, ids: torch.Tensor) -> np.ndarray:
    """[layers, neurons, tokens]: what goes into each down-projection in one plain pass."""
    seen: list[torch.Tensor] = []
    downs = [down_projection(layer) for layer in decoder_layers(model)]
    hooks = [down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0])) for down in downs]
    with torch.no_grad():
        model(input_ids=ids)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen).transpose(1, 2).numpy()


@often
@given(fault=faults)
def test_attributing_a_model_with_one_thing_wrong(
    command: Command, whole: Path, tmp_path: Path, fault: tuple[str, Fault]
) -> None:
    work = tmp_path / "work"
    folder = broken(whole, work, fault[1])
    texts = ("--texts", whole / "texts.jsonl", "--permutations", 0, "--dtype", "float32")
    result = command("attribute", "--dense", folder, "--pruned", folder, *texts, "--output", work / "out")
    if one_line(result, (0, 2)):
        assert left(work) == set()
        return
    group = zarr.open_group(str(work / "out"), mode="r")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    recorded = np.asarray(group["activations/dense"])
    start = 0
    for text in group.attrs["examples"]:
        ids = torch.tensor([text["token_ids"]])
        expected = brute_activations(model, ids)
        end = start + ids.shape[1]
        np.testing.assert_allclose(recorded[:, :, start:end], expected, rtol=2e-3, atol=1e-4)
        start = end


label_values = st.one_of(st.sampled_from([0, 1, 2, -1, True, None, 1.0, "1"]), values)


@st.composite
def task_rows(draw: st.DrawFn) -> bytes:
    """Rows of SST-2, one of them with another value, a field too few or under another name, or with a wrong byte."""
    rows: list[dict[str, Any]] = [
        {"sentence": f"the {part} was {word}", "label": label}
        for part in ("room", "food")
        for word, label in (("small", 0), ("soft", 1), ("kind", 1))
    ]
    row, name = draw(st.sampled_from(rows)), draw(st.sampled_from(["sentence", "label"]))
    how = draw(st.sampled_from(["set", "set", "drop", "rename", "byte", "more"]))
    match how:
        case "set":
            row[name] = draw(label_values if name == "label" else st.one_of(values, st.text(max_size=20)))
        case "drop":
            del row[name]
        case "rename":
            row[f"{name}_"] = row.pop(name)
        case "more":
            row["idx"] = draw(values)
    data = bytearray(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    if how == "byte":
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def refuse(constant: str) -> object:
    raise ValueError(constant)


def brute_answers(data: bytes) -> list[tuple[str, int]]:
    """The sentence and the label of each row."""
    found = []
    for line in data.split(b"\n"):
        for part in line.split(b"\r"):
            if part.strip():
                row = json.loads(part.decode(), parse_constant=refuse)
                assert isinstance(row["sentence"], str) and row["sentence"].strip() and "\0" not in part.decode()
                assert type(row["label"]) is int and row["label"] in (0, 1)
                row["sentence"].encode()
                found.append((row["sentence"], row["label"]))
    return found


@torch.no_grad()
def brute_choice(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentence: str) -> int:
    """0 for negative, 1 for positive: each answer in a pass of its own."""
    prompt = f"{sentence}\nQuestion: Is this sentence positive or negative?\nAnswer:"
    scores = []
    for answer in (" negative", " positive"):
        before, whole = tokenizer(prompt)["input_ids"], tokenizer(prompt + answer)["input_ids"]
        ids = torch.tensor(whole[-CONTEXT - 1 :])
        said = len(whole) - len(before)
        logits = model(input_ids=ids[None, :-1]).logits[0, -said:].log_softmax(-1)
        scores.append(float(logits.gather(1, ids[-said:, None]).sum()))
    return int(scores[1] > scores[0])


@often
@given(data=task_rows())
def test_a_task_with_one_thing_wrong(command: Command, whole: Path, tmp_path: Path, data: bytes) -> None:
    """Rows of a task: answered as brute force answers them, or refused with one line."""
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    folder = broken(whole, work, lambda folder: None)
    (work / "eval").mkdir()
    (work / "eval" / "sst2.jsonl").write_bytes(data)
    written = work / "result.json"
    options = ("--tasks", "sst2", "--data", work, "--dtype", "float32", "--json", written)
    result = command("evaluate", folder, *options)
    try:
        rows = brute_answers(data)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        assert one_line(result, (2,))
        assert not written.exists()
        return
    assert one_line(result, (0,)) == "", (rows, result.stderr)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    right = [brute_choice(model, tokenizer, sentence) == label for sentence, label in rows]
    assert json.loads(written.read_text())["tasks"]["sst2"]["accuracy"] == pytest.approx(sum(right) / len(right))


lines = st.lists(
    st.one_of(
        st.sampled_from([json.dumps(row).encode() for row in ROWS]),
        st.text(max_size=12).map(lambda text: json.dumps({"text": text}).encode()),
        st.text(max_size=12).map(
            lambda text: json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        ),
        st.binary(max_size=8),
        values.map(lambda value: json.dumps({"text": value}).encode()),
    ),
    max_size=4,
)


def brute_rows(data: bytes) -> list[str]:
    """Line by line: what is between two line feeds is one JSON object with a text."""
    texts = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip(b" \t\r"):
            row = json.loads(line.decode("utf-8"))
            assert isinstance(row["text"], str) and row["text"].strip()
            row["text"].encode("utf-8")
            texts.append(row["text"])
    assert texts
    return texts


@often
@given(rows=lines, ending=st.sampled_from([b"\n", b"\r\n"]), mark=st.booleans())
@example(rows=[b'{"text": "one\xe2\x80\xa8two \xc2\x85 three"}'], ending=b"\n", mark=True)
def test_texts_with_one_thing_wrong(
    command: Command, whole: Path, tmp_path: Path, rows: list[bytes], ending: bytes, mark: bool
) -> None:
    """A file of texts for perplexity: read as brute force reads it, or refused with one line."""
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    data = b"\xef\xbb\xbf" * mark + ending.join(rows)
    (work / "texts.jsonl").write_bytes(data)
    sizes = ("--seqlen", 2, "--windows", 1, "--dtype", "float32", "--bos", "never")
    result = command("evaluate", whole / "llama", "--perplexity", work / "texts.jsonl", *sizes)
    try:
        texts = brute_rows(data)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        assert one_line(result, (2,))
        return
    tokens = AutoTokenizer.from_pretrained(whole / "llama")("\n".join(texts))["input_ids"]
    assert (one_line(result, (0, 2)) == "") == (len(tokens) >= 2), texts
