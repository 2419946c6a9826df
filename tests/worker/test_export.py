"""What a pruned model is saved as: a plain Hugging Face folder that anybody can load."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prunescope.evaluation.accuracy import evaluate
from prunescope.lm.loading import load
from prunescope.pruning.calibration import calibration_windows
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune as walk
from prunescope.worker import pruned_model
from prunescope.worker.context import Context
from tests.models import FAMILIES, LAYERS, tiny_folder
from tests.worker.test_resume import spec_of, stopped

IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "shards"])
def test_it_loads_anywhere_with_the_same_logits(
    tiny_root: Path,
    tmp_path: Path,
    folder: Path,
    context: Context,
    family: str,
    dtype: torch.dtype,
    sharded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sharded:
        monkeypatch.setattr(pruned_model, "ONE_FILE", 0)
    place = tiny_folder(tmp_path / "dense", family, dtype)
    wanda = {"model": str(place), "pattern": 0.5}
    pruned_model.prune(spec_of(tiny_root, **wanda), folder, context)

    own = load(place, resident=False)
    windows = calibration_windows(tiny_root / "text.jsonl", own.tokenizer, samples=4, seqlen=16, seed=0, context=128)
    walk(own.model, "wanda", Unstructured(0.5), windows.windows, dtype=torch.float32)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert loaded.dtype == dtype
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, own.model(IDS).logits)
    assert AutoTokenizer.from_pretrained(folder)("bad")["input_ids"]

    own.model.save_pretrained(tmp_path / "reference")
    reference = load_file(tmp_path / "reference" / "model.safetensors")
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == (LAYERS + 1 if sharded else 1)
    saved = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert saved.keys() == reference.keys()
    assert all(torch.equal(saved[name], reference[name]) for name in saved)
    if sharded:
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in saved.values())
        assert index["weight_map"].keys() == saved.keys()
    else:
        assert files[0].read_bytes() == (tmp_path / "reference" / "model.safetensors").read_bytes()
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text()) == json.loads((tmp_path / "reference" / name).read_text())
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_it_evaluates_the_same_sharded_or_not(
    tiny_root: Path, tmp_path: Path, folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned_model.prune(spec_of(tiny_root), folder, context)
    monkeypatch.setattr(pruned_model, "ONE_FILE", 0)
    shards = tmp_path / "shards"
    shards.mkdir()
    pruned_model.prune(spec_of(tiny_root), shards, context)
    assert len({path.stat().st_mode for path in shards.iterdir()}) == 1
    own = load(tiny_root / "llama", resident=False)
    windows = calibration_windows(tiny_root / "text.jsonl", own.tokenizer, samples=4, seqlen=16, seed=0, context=128)
    walk(own.model, "wanda", NofM(2, 4), windows.windows, dtype=torch.float32)
    own.model.float()
    wanted = evaluate(own, ["reviews"], limit=6)["reviews"]
    for place in (folder, shards):
        found = evaluate(load(place), ["reviews"], limit=6)["reviews"]
        assert [row.scores for row in found.examples] == [row.scores for row in wanted.examples]


def test_the_document_tells_of_stages_and_matrices(tiny_root: Path, folder: Path, context: Context) -> None:
    record = pruned_model.prune(spec_of(tiny_root), folder, context)
    assert set(record["stages"]) == {"load", "calibration", "statistics", "decide", "forward", "save"}
    assert 0 < sum(record["stages"].values()) <= record["seconds"] * 1.01
    assert (record["batch"], record["dtype"], record["device"]) == (4, "float32", "cpu") or record[
        "batch"
    ] == 4096 // 16
    assert record["calibration"]["tokens"] == 64
    matrices = [matrix for layer in record["layers"] for matrix in layer["matrices"]]
    errors = [matrix["relative_error"] for matrix in matrices]
    assert record["relative_error"] == pytest.approx(sum(errors) / len(errors))
    for layer in record["layers"]:
        assert layer["sparsity"] == 0.5 and layer["seconds"] == pytest.approx(sum(layer["stages"].values()))
    assert all(matrix["damping_retries"] == 0 and matrix["permuted"] is False for matrix in matrices)
    assert not (folder / "permutations.npz").exists()


def test_orders_of_columns_are_kept_beside(tiny_root: Path, folder: Path, context: Context) -> None:
    """RIA with reallocation: the n:m pattern holds in the order that stands in the file."""
    record = pruned_model.prune(
        spec_of(tiny_root, method={"name": "ria", "permutation": "reallocation"}), folder, context
    )
    orders = {name: torch.from_numpy(order) for name, order in np.load(folder / "permutations.npz").items()}
    assert [file.name for file in folder.glob("*.safetensors")] == ["model.safetensors"]
    weights = load_file(folder / "model.safetensors")
    permuted = [matrix for layer in record["layers"] for matrix in layer["matrices"] if matrix["permuted"]]
    assert len(orders) == len(permuted) == 7 * LAYERS
    for name, order in orders.items():
        assert sorted(order.tolist()) == list(range(len(order)))
        kept = (weights[name][:, order.long()] != 0).reshape(len(weights[name]), -1, 4).sum(dim=-1)
        assert int(kept.max()) <= 2


def test_matrices_are_told_of_as_they_are_done(tiny_root: Path, folder: Path, context: Context) -> None:
    pruned_model.prune(spec_of(tiny_root), folder, context)
    said = [step.message for step in context.said if step.stage == "prune"]  # type: ignore[attr-defined]
    assert "layer 2/2 · mlp.down_proj" in said


METHODS = ["magnitude", "wanda", "ria", "sparsegpt"]


@pytest.mark.parametrize("method", METHODS)
def test_sparsity_0_is_the_same_file(
    tiny_root: Path, tmp_path: Path, folder: Path, context: Context, method: str
) -> None:
    """Names, order, types and bytes, -0.0 and tensors that the model has no place for among them."""
    place = tiny_folder(tmp_path / "dense", "llama", torch.bfloat16)
    tensors = load_file(place / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][3, :5] = -0.0
    for name in list(tensors):
        if "norm" in name:
            tensors[name] = tensors[name].float() * (1 + 2**-15)  # more digits than bfloat16 has
    tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    tensors["value_head.weight"] = torch.ones(2, 32).half()
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt", "made": "by hand"})
    changes = {"model": str(place), "method": method, "pattern": 0.0}
    pruned_model.prune(
        spec_of(tiny_root, **changes | ({"calibration": None} if method == "magnitude" else {})), folder, context
    )
    assert (folder / "model.safetensors").read_bytes() == (place / "model.safetensors").read_bytes()


@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "shards"])
@pytest.mark.parametrize("finished", [False, True], ids=["at once", "gone on"])
def test_each_tensor_keeps_its_type(
    tiny_root: Path,
    tmp_path: Path,
    folder: Path,
    context: Context,
    sharded: bool,
    finished: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A checkpoint of float16 with norms, a bias-free linear and the head in float32: their digits stay."""
    if sharded:
        monkeypatch.setattr(pruned_model, "ONE_FILE", 0)
    place = tiny_folder(tmp_path / "dense", "llama", torch.float16)
    tensors = load_file(place / "model.safetensors")
    wide = [name for name in tensors if "norm" in name] + ["lm_head.weight", "model.layers.1.mlp.up_proj.weight"]
    for name in wide:
        tensors[name] = tensors[name].float() * (1 + 2**-20)
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    spec = spec_of(tiny_root, model=str(place), pattern=0.5)
    if finished:
        stopped(spec, context, folder, tmp_path / "finished")
    pruned_model.prune(spec, folder, context, tmp_path / "finished")
    saved = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    assert {name: tensor.dtype for name, tensor in saved.items()} == {
        name: tensor.dtype for name, tensor in tensors.items()
    }
    for name, tensor in saved.items():
        if ".mlp." in name or ".self_attn." in name:
            assert float((tensor == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
            assert torch.equal(tensor, torch.where(tensor == 0, 0, tensors[name]))
        else:
            assert torch.equal(tensor, tensors[name])


def test_names_are_those_of_the_checkpoint(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    """GPT-2 without the prefix of its class and with the head that is tied; what wrappers add is left out."""
    place = tiny_folder(tmp_path / "gpt2", "gpt2")
    tensors = load_file(place / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare["lm_head.weight"] = bare["wte.weight"].clone()
    save_file(bare, place / "model.safetensors", metadata={"format": "pt"})
    magnitude = {"method": "magnitude", "calibration": None, "pattern": 0.5}
    pruned_model.prune(spec_of(tiny_root, model=str(place), **magnitude), folder, context)
    saved = load_file(folder / "model.safetensors")
    assert saved.keys() == bare.keys()
    assert float((saved["h.0.mlp.c_fc.weight"] == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    save_file({f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}, place / "model.safetensors")
    output = tmp_path / "compiled"
    output.mkdir()
    pruned_model.prune(spec_of(tiny_root, model=str(place), **magnitude), output, context)
    assert load_file(output / "model.safetensors").keys() == tensors.keys()
    assert load(output).model is not None


def test_what_belongs_to_a_model_travels_along(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    place = tiny_folder(tmp_path / "dense")
    along = {
        "preprocessor_config.json": "{}",
        "processor_config.json": "{}",
        "chat_template.jinja": "{{ messages }}",
        "additional_chat_templates/tool.jinja": "x",
        "vocab.txt": "a",
        "LICENSE": "as you like",
    }
    left = (
        "README.md",
        "modeling_mine.py",
        "pytorch_model.bin",
        "model.fp16.safetensors",
        "manifest.json",
        "pruning.json",
    )
    (place / "additional_chat_templates").mkdir()
    for name, text in along.items():
        (place / name).write_text(text)
    for name in left:
        (place / name).write_text("{}")
    (place / "notes.txt").symlink_to(tmp_path / "gone")
    (place / "model.safetensors.index.json").write_text("stale")
    spec = spec_of(tiny_root, model=str(place), method="magnitude", calibration=None, pattern=0.5)
    pruned_model.prune(spec, folder, context)
    for name in (*along, "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (place / name).read_bytes(), name
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert not found & {*left, "notes.txt", "model.safetensors.index.json"} - {"pruning.json"}
    assert json.loads((folder / "pruning.json").read_text())["label"]
