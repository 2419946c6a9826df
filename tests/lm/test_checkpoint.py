"""Checkpoint folders as people have them: each is read right, or refused with its cause and the way out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunescope.lm.checkpoint import read_checkpoint
from prunescope.lm.errors import BadInput, ModelNotFound, NoSafetensors, UnsupportedModel
from prunescope.lm.loading import LanguageModel, load
from prunescope.lm.weights import stored_names
from tests.models import FAMILIES, tiny, tiny_folder

IDS = torch.arange(20).view(2, 10)
FORMAT = {"format": "pt"}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 524912\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model")


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    tiny("llama").save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def right(lm: LanguageModel, family: str = "llama") -> bool:
    return torch.equal(lm.model(IDS).logits, tiny(family)(IDS).logits)


def rewrite(folder: Path, rename: Callable[[str], str] = str, **more: torch.Tensor) -> None:
    tensors = {rename(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors | more, folder / "model.safetensors", metadata=FORMAT)


def index_of(folder: Path) -> dict[str, dict[str, str]]:
    return json.loads((folder / "model.safetensors.index.json").read_text())


def write_index(folder: Path, document: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps(document))


def refused(folder: Path, *said: str, kind: type[BadInput] = BadInput) -> str:
    with pytest.raises(kind) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700
    for part in said:
        assert part in message, message
    return message


def test_a_whole_file_beside_a_stale_index_is_used(folder: Path) -> None:
    for document in ({"metadata": {}, "weight_map": {"a": "gone.safetensors"}}, [], "no index"):
        write_index(folder, document)
        assert right(load(folder))


def test_an_index_without_metadata(sharded: Path) -> None:
    write_index(sharded, {"weight_map": index_of(sharded)["weight_map"]})
    assert right(load(sharded))


def test_shards_without_an_index(sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    assert right(load(sharded))
    min(sharded.glob("model-*.safetensors")).unlink()
    refused(sharded, "neither all that belong together nor an index")


@pytest.mark.parametrize("form", ["../{}", "{}", "sub/../../other/{}"])
def test_an_index_leads_out_of_the_folder(folder: Path, tmp_path: Path, form: str) -> None:
    other = tiny_folder(tmp_path / "other")
    outside = form.format("other/model.safetensors" if form.startswith("..") else other / "model.safetensors")
    (folder / "model.safetensors").unlink()
    write_index(folder, {"metadata": {}, "weight_map": {"lm_head.weight": outside}})
    refused(folder, "model.safetensors.index.json names", "lies outside of the folder", kind=NoSafetensors)


def test_shards_in_a_folder_below(sharded: Path) -> None:
    (sharded / "parts").mkdir()
    for file in sharded.glob("model-*.safetensors"):
        file.rename(sharded / "parts" / file.name)
    weight_map = {name: f"parts/{file}" for name, file in index_of(sharded)["weight_map"].items()}
    write_index(sharded, {"weight_map": weight_map})
    assert right(load(sharded))


@pytest.mark.parametrize(
    "document",
    [[], {}, {"weight_map": []}, {"weight_map": {"a": 3}}, {"weight_map": {"a": None}}, {"weight_map": {"a": ["b"]}}],
)
def test_an_index_that_is_none(sharded: Path, document: object) -> None:
    write_index(sharded, document)
    refused(sharded, "not an index of safetensors", kind=NoSafetensors)
    (sharded / "model.safetensors.index.json").write_text("[" * 10**5)
    refused(sharded, "not an index of safetensors", kind=NoSafetensors)


def test_links_that_lead_nowhere(folder: Path, sharded: Path, tmp_path: Path) -> None:
    (folder / "README.md").symlink_to(tmp_path / "gone")
    assert right(load(folder))  # nothing that a model is made of
    shard = min(sharded.glob("model-*.safetensors"))
    shard.unlink()
    shard.symlink_to("../blobs/gone")
    refused(sharded, "1 of its", shard.name, "is a link to ../blobs/gone, which is not there")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../blobs/gone")
    refused(folder, "its model.safetensors is a link to ../blobs/gone, which is not there", kind=NoSafetensors)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("gone")
    refused(folder, "its config.json is a link to gone, which is not there", kind=ModelNotFound)


def test_a_cache_of_the_hub_is_links(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert right(load(snapshot))


def test_git_lfs_pointers(folder: Path, sharded: Path) -> None:
    tokenizer = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(LFS)
    refused(folder, "tokenizer.json is a Git LFS pointer", "git lfs pull")
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "model.safetensors").write_bytes(LFS)
    refused(folder, "is a Git LFS pointer, not the weights; run `git lfs pull`", kind=NoSafetensors)
    max(sharded.glob("model-*.safetensors")).write_bytes(LFS)
    refused(sharded, "is a Git LFS pointer", kind=NoSafetensors)
    (folder / "config.json").write_bytes(LFS)
    refused(folder, "config.json is a Git LFS pointer")


def test_what_is_no_model_for_itself(folder: Path, tmp_path: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    refused(folder, "holds an adapter", "merge it into its base model", kind=NoSafetensors)
    (folder / "adapter_config.json").unlink()
    (folder / "model_index.json").write_text("{}")
    refused(folder, "pipeline of diffusers")
    (folder / "model_index.json").unlink()
    refused(tmp_path, "has no config.json, but its folder model has one; name that one", kind=ModelNotFound)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    refused(folder, "holds an adapter (adapter_model.safetensors)", kind=NoSafetensors)
    cached = tmp_path / "cache" / "models--owner--name"
    shutil.copytree(folder, cached / "snapshots" / "0a1b")
    refused(cached, "no config.json, but its folder snapshots/0a1b has one; name that one", kind=ModelNotFound)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model-q4_k_m.gguf", "GGUF is a format for inference"),
        ("consolidated-00001-of-00001.safetensors", "only shards with other names (consolidated-00001-of"),
        ("consolidated.safetensors", "names of Mistral's own programs"),
        ("pytorch_model.bin", "only pytorch_model.bin); only safetensors are read"),
        ("tf_model.h5", "only tf_model.h5"),
        ("flax_model.msgpack", "only flax_model.msgpack"),
        (
            "weights.safetensors",
            "only weights.safetensors); if that is the whole model, rename it to model.safetensors",
        ),
    ],
)
def test_weights_in_other_forms(folder: Path, file: str, said: str) -> None:
    (folder / "model.safetensors").rename(folder / file)
    refused(folder, said, kind=NoSafetensors)
    if file.endswith(".gguf"):
        (folder / "config.json").unlink()
        refused(folder, said, kind=ModelNotFound)


def test_variants(folder: Path, sharded: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    assert right(load(folder))
    shutil.copy(folder / "model.fp16.safetensors", folder / "model.bf16.safetensors")
    refused(folder, "variants bf16, fp16; rename the one that is meant to model.safetensors", kind=NoSafetensors)
    for file in list(sharded.glob("model-*.safetensors")):
        file.rename(sharded / file.name.replace("model-", "model.fp16-"))
    weight_map = {name: file.replace("model-", "model.fp16-") for name, file in index_of(sharded)["weight_map"].items()}
    (sharded / "model.safetensors.index.json").unlink()
    (sharded / "model.safetensors.index.fp16.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert right(load(sharded))
    (sharded / "model.safetensors.index.fp16.json").unlink()
    assert right(load(sharded))
    for file in list(sharded.glob("model.fp16-*.safetensors")):
        file.rename(sharded / f"{file.stem.replace('.fp16', '')}.fp16.safetensors")
    assert right(load(sharded))
    min(sharded.glob("model-*.safetensors")).unlink()
    refused(sharded, "shards (model-00002-of-", "copy the rest", kind=NoSafetensors)


def test_downloads_that_have_not_ended(folder: Path) -> None:
    rest = folder / "model.safetensors.aria2"
    rest.touch()
    refused(folder, "the download of model.safetensors has not ended (model.safetensors.aria2", kind=NoSafetensors)
    (folder / "model.safetensors").unlink()
    rest.rename(folder / "model.safetensors.incomplete")
    refused(folder, "only model.safetensors.incomplete, a download that has not ended", kind=NoSafetensors)


def test_what_training_leaves(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "__0_0.distcp").touch()
    refused(folder, "only __0_0.distcp", "load it with the library that wrote it", kind=NoSafetensors)
    (folder / "zero_to_fp32.py").touch()
    refused(
        folder,
        "only a training checkpoint of DeepSpeed",
        "zero_to_fp32.py . weights --safe_serialization",
        kind=NoSafetensors,
    )


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: name.replace("layers.0.", "layers.0._orig_mod.").replace("layers.1.", "layers.1._orig_mod."),
        lambda name: f"_fsdp_wrapped_module.{name}",
    ],
)
def test_what_wrappers_put_into_names_is_left_out(folder: Path, rename: Callable[[str], str]) -> None:
    rewrite(folder, rename)
    assert right(load(folder))


def test_a_tensor_with_and_without_a_wrapper(folder: Path) -> None:
    rewrite(folder, **{"_orig_mod.lm_head.weight": torch.zeros(2)})
    refused(folder, "_orig_mod.lm_head.weight and lm_head.weight have the same name")


def test_quantised_without_the_usual_field(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization": {"group_size": 64, "bits": 4}}))
    refused(folder, "is quantised (MLX)", "give the model before quantisation", kind=UnsupportedModel)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "quantize_config.json").write_text('{"bits": 4}')
    refused(folder, "is quantised (quantize_config.json lies in its folder)", kind=UnsupportedModel)
    (folder / "quantize_config.json").unlink()
    rewrite(folder, **{"model.layers.0.mlp.up_proj.qweight": torch.zeros(4, 4, dtype=torch.int32)})
    refused(folder, "is quantised: it holds 1 packed tensors (model.layers.0.mlp.up_proj.qweight)")


def test_missing_tensors_are_listed(folder: Path) -> None:
    rewrite(folder, lambda name: name.replace("mlp.", "ffn."))
    message = refused(
        folder, "lacks 6 tensors of LlamaForCausalLM: model.layers.0.mlp.down_proj.weight,", " and 3 more"
    )
    assert "it has no place for 6, model.layers.0.ffn.down_proj.weight," in message


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.q_proj.bias", "model.layers.2.mlp.up_proj.weight"])
def test_tensors_of_layers_that_would_be_passed_over_are_listed(folder: Path, name: str) -> None:
    rewrite(folder, **{name: torch.zeros(64, 32) if name.endswith("weight") else torch.zeros(32)})
    refused(folder, f"has no place for 1 tensors of its decoder layers: {name}; it would compute without them")


def test_tensors_that_no_result_depends_on_are_passed_over(folder: Path) -> None:
    more = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4), "v_head.summary.weight": torch.ones(1, 32)}
    rewrite(folder, **more, **{"model.layers.0.self_attn.k_scale": torch.ones(1)})
    assert right(load(folder))


def test_a_config_of_an_enormous_model_is_compared_before_anything_is_made(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 10**13}))
    refused(folder, "6 tensors do not fit its config.json", "is [64, 32], not [10000000000000, 32]")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 10**5, '{"model_type": {}}', '{"model_type": "llama", "hidden_size": "x"}']
)
def test_configs_that_are_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    refused(folder, kind=UnsupportedModel)
    (folder / "config.json").write_bytes(b"\xff\xfe{")
    refused(folder, "config.json is not understood")


def header_of(file: Path) -> tuple[dict[str, dict[str, object]], bytes]:
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(file: Path, header: object, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [2, 2]}, "takes 16 bytes, not"),
        ({"dtype": "Q4"}, "unknown type 'Q4'"),
        ({"dtype": None}, "unknown type 'None'"),
        ({"shape": [-1, 2]}, "not a map of tensors"),
        ({"shape": ["2"]}, "not a map of tensors"),
        ({"data_offsets": [0]}, "not a map of tensors"),
        ({"data_offsets": [0, 10**30]}, "bytes, not"),
        ({"data_offsets": [8, 38408]}, "begin at byte"),
    ],
)
def test_headers_that_lie(folder: Path, change: dict[str, object], said: str) -> None:
    file = folder / "model.safetensors"
    header, data = header_of(file)
    name = min(header.keys() - {"__metadata__"}, key=lambda name: header[name]["data_offsets"])
    if "data_offsets" in change and said == "begin at byte":
        begin, end = header[name]["data_offsets"]
        change = {"data_offsets": [begin + 8, end + 8]}
    header[name] |= change
    with_header(file, header, data)
    refused(folder, "not a readable safetensors file", said, kind=NoSafetensors)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"abc\0", "its header alone would have"),
        (b"/nowhere/model.safetensors", "it is the text '/nowhere/model.safetensors' (a link that was copied"),
        (b"PK\3\4" + bytes(100), "a PyTorch file (pickle) with another name"),
        (b"\x80\2}q\0" + bytes(100), "a PyTorch file (pickle) with another name"),
        (b"GGUF" + bytes(100), "a GGUF file with another name"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        ((100).to_bytes(8, "little") + b"{" * 100, "its header is not a map of tensors"),
        ((2 * 10**5).to_bytes(8, "little") + b"[" * 2 * 10**5, "its header is not a map of tensors"),
        ((2).to_bytes(8, "little") + b"[]", "its header is not a map of tensors"),
    ],
)
def test_files_that_are_no_safetensors(folder: Path, contents: bytes, said: str) -> None:
    (folder / "model.safetensors").write_bytes(contents)
    refused(folder, "not a readable safetensors file", said, kind=NoSafetensors)


def test_files_that_are_cut_off_or_longer(folder: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    for end in (len(raw) - 1, len(raw) // 2):
        (folder / "model.safetensors").write_bytes(raw[:end])
        refused(folder, f"it has {end} bytes, but its header says {len(raw)}: it was cut off", kind=NoSafetensors)
    (folder / "model.safetensors").write_bytes(raw + b"\0")
    refused(folder, "something was appended to it", kind=NoSafetensors)


def test_a_tensor_in_two_shards(sharded: Path) -> None:
    first, *_, last = sorted(sharded.glob("model-*.safetensors"))
    name, tensor = next(iter(load_file(first).items()))
    save_file(load_file(last) | {name: tensor}, last, metadata=FORMAT)
    assert right(load(sharded))
    save_file(load_file(last) | {name: tensor + 1}, last, metadata=FORMAT)
    refused(sharded, f"tensor {name} is in {first.name} and, with other contents, in {last.name}")


@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_stored_tensors(family: str, tmp_path: Path) -> None:
    """Every tensor of a checkpoint is found at its place in the model, with its values."""
    folder = tiny_folder(tmp_path / family, family)
    checkpoint, model = read_checkpoint(folder, family), load(folder, resident=False).model
    names, state = stored_names(model, checkpoint), model.state_dict()
    tensors = load_file(folder / "model.safetensors")
    assert set(names.values()) == set(tensors)
    assert all(torch.equal(state[own], tensors[name]) for own, name in names.items())


def test_names_without_the_base_models_prefix(tmp_path: Path) -> None:
    """GPT-2 as it was published: `h.0...` for `transformer.h.0...`."""
    folder = tiny_folder(tmp_path / "gpt2", "gpt2")
    rewrite(folder, lambda name: name.removeprefix("transformer."))
    lm = load(folder)
    assert right(lm, "gpt2")
    names = stored_names(lm.model, read_checkpoint(folder, "gpt2"))
    assert names["transformer.h.1.mlp.c_fc.weight"] == "h.1.mlp.c_fc.weight"
