import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BartForConditionalGeneration

from prunescope.lm.errors import BadInput, DeviceUnavailable, ModelNotFound, NoSafetensors, UnsupportedModel
from prunescope.lm.loading import DEMO, choose_device, choose_dtype, find, load
from tests.models import FAMILIES, tiny, tiny_folder


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "a model")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_comes_back_the_same(family, tmp_path):
    lm = load(tiny_folder(tmp_path / family, family))
    ids = torch.arange(20).view(2, 10)
    assert torch.equal(lm.model(ids).logits, tiny(family)(ids).logits)
    assert lm.tokenizer("the food").input_ids[0] == 0
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    assert lm.device == torch.device("cpu") and lm.dtype == torch.float32


def test_dtype_is_the_checkpoints_own_and_compute_is_float32_on_a_cpu(tmp_path):
    folder = tiny_folder(tmp_path / "half", dtype=torch.float16)
    lm = load(str(folder))
    assert (lm.dtype, lm.model.dtype, lm.reference) == (torch.float16, torch.float32, str(folder))
    assert load(folder, dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16
    assert load(folder, dtype="bfloat16", device="cpu", resident=False).model.dtype == torch.float16


def test_shards_are_read(tmp_path):
    tiny("llama").save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    lm = load(tmp_path)
    assert lm.tokenizer is None
    ids = torch.arange(8).view(1, 8)
    assert torch.equal(lm.model(ids).logits, tiny("llama")(ids).logits)
    shard = min(tmp_path.glob("model-*.safetensors"))
    shard.unlink()
    with pytest.raises(NoSafetensors, match=shard.name):
        load(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(NoSafetensors, match="not an index"):
        load(tmp_path)


def test_the_demo_model():
    assert find("demo") == DEMO
    assert load("demo").dtype == torch.float16


def test_only_safetensors(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(NoSafetensors, match=r"only pytorch_model\.bin.*save_pretrained"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(NoSafetensors, match="no weights at all"):
        load(folder)
    (folder / "model.safetensors").write_bytes(b"no header")
    with pytest.raises(NoSafetensors, match="not a readable safetensors file"):
        load(folder)


def test_references_that_name_nothing(folder, tmp_path):
    with pytest.raises(ModelNotFound, match="no such folder, and not a hub id"):
        load("./nowhere")
    with pytest.raises(ModelNotFound, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(ModelNotFound, match="is a file"):
        load(folder / "config.json")
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        load(tmp_path)


def test_missing_tensors_are_not_filled_with_random_numbers(folder):
    tensors = load_file(folder / "model.safetensors")
    gone = "model.layers.1.mlp.up_proj.weight"
    del tensors[gone]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedModel, match=gone):
        load(folder)


def test_shapes_that_contradict_the_config(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 65}))
    with pytest.raises(
        UnsupportedModel,
        match=r"6 tensors do not fit its config\.json: .*down_proj\.weight is \[32, 64\], not \[32, 65\].* and 3 more",
    ):
        load(folder)


def test_configs_that_cannot_be_used(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "of_tomorrow"}))
    with pytest.raises(UnsupportedModel, match=r"config\.json is not understood"):
        load(folder)
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": None}))
    with pytest.raises(UnsupportedModel, match=r"'max_position_embeddings': .*expected int, got NoneType"):
        load(folder)
    (folder / "config.json").write_text(
        json.dumps(config | {"rope_parameters": {"rope_type": "su", "rope_theta": 1.0}})
    )
    with pytest.raises(UnsupportedModel, match=r"cannot be loaded: KeyError 'su'"):
        load(folder)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "compressed-tensors", "fp8", None])
def test_quantised_checkpoints_are_refused_by_name(folder, method):
    config = json.loads((folder / "config.json").read_text())
    named = {"bits": 4} | ({} if method is None else {"quant_method": method})
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": named}))
    with pytest.raises(UnsupportedModel, match=rf"is quantised \({method or 'its .* not say how'}\): .*before quantis"):
        load(folder)


def test_a_single_quantised_tensor_is_refused_by_name(folder):
    """A config may not say it, and most of the numbers may be whole ones."""
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UnsupportedModel, match=rf"{name} is stored as F8_E4M3 \(quantised\); give the model in float32"
    ):
        load(folder)


def test_a_model_with_an_encoder_is_refused_by_name(tmp_path):
    folder = tmp_path / "bart"
    sizes = {"vocab_size": 32, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    BartForConditionalGeneration(BartConfig(**sizes, **heads)).save_pretrained(folder)
    with pytest.raises(UnsupportedModel, match=r"has an encoder beside its decoder \(bart\); give a decoder-only"):
        load(folder)


@pytest.mark.parametrize("mask", [torch.uint8, torch.bool, torch.int64])
def test_stored_masks_do_not_decide_the_type(mask, tmp_path):
    """Older GPT-NeoX checkpoints hold their causal masks, which can outnumber the weights."""
    folder = tiny_folder(tmp_path / "half", "gpt_neox", dtype=torch.float16)
    tensors = load_file(folder / "model.safetensors")
    tensors["gpt_neox.layers.0.attention.bias"] = torch.ones(1, 1, 2048, 2048, dtype=mask)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load(folder).dtype == torch.float16


def test_numbers_that_are_no_floats(folder):
    save_file({"x": torch.zeros(3, dtype=torch.int8)}, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match="I8"):
        load(folder)


def test_a_broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BadInput, match="tokenizer cannot be used"):
        load(folder)


def test_a_tokenizer_without_its_vocabulary(folder):
    """What transformers makes of a tokenizer_config.json alone."""
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    with pytest.raises(BadInput, match=r"its tokenizer has no vocabulary.*copy the file"):
        load(folder)


def test_a_tokenizer_that_fails_when_it_is_used(folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": "512"}))
    with pytest.raises(BadInput, match=r"tokenizer cannot be used: .*'int' and 'str'"):
        load(folder)


def test_code_that_comes_with_a_model_is_not_run(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    trace = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(trace)!r}, 'w')")
    with pytest.raises(UnsupportedModel, match="never run"):
        load(folder)
    assert not trace.exists()


def test_devices_and_number_types():
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DeviceUnavailable, match="'gpu' is unknown"):
        choose_device("gpu")
    with pytest.raises(DeviceUnavailable, match="is not there"):
        choose_device("cuda:99")
    assert choose_dtype("auto", cpu, torch.float16) == torch.float32
    assert choose_dtype("auto", torch.device("cuda"), torch.float16) == torch.float16
    assert choose_dtype("bfloat16", cpu, torch.float16) == torch.bfloat16
    with pytest.raises(DeviceUnavailable, match="float8"):
        choose_dtype("float8", cpu, torch.float16)


def test_errors_are_one_line(folder):
    shutil.copy(folder / "config.json", folder / "model.safetensors")
    with pytest.raises(BadInput) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and caught.value.code == "no-safetensors"
