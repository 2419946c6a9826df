"""Every family of decoders through the whole walk: what is pruned, what the layers see, what is saved."""

import json
from functools import cache
from itertools import cycle

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.layer_calls import hidden_state
from prunescope.lm.loading import load
from prunescope.pruning.capture import capture
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune
from tests.models import DECODERS, LAYERS, tiny

WINDOWS = torch.randint(2, 300, (5, 24), generator=torch.Generator().manual_seed(2))
LENGTHS = torch.tensor([24, 3, 17, 1, 24])
CPU = torch.device("cpu")
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
SAVED = [*zip(DECODERS, cycle(DTYPES), strict=False), *(("llama", dtype) for dtype in DTYPES[1:])]


def last_hidden(model, ids):
    """What the last decoder layer gives, before the norm and the head, in a plain pass of the whole model."""
    seen = []
    hook = decoder_layers(model)[-1].register_forward_hook(
        lambda _module, _args, output: seen.append(hidden_state(output))
    )
    with torch.no_grad():
        model(ids, use_cache=False)
    hook.remove()
    return seen[0]


def walked(model, windows, batch):
    """The same, layer after layer, each run over all windows in micro-batches."""
    layers = decoder_layers(model)
    inputs = capture(model, layers, windows, batch, CPU)
    with torch.no_grad():
        for index, layer in enumerate(layers):
            inputs.advance(index, layer)
    return inputs.hidden


@cache
def pruned(family, method, pattern):
    model = tiny(family)
    return model, prune(model, method, pattern, WINDOWS, batch=2)


@pytest.mark.parametrize("family", DECODERS)
def test_the_walk_is_the_model(family):
    model = tiny(family)
    parts = [last_hidden(model, WINDOWS[start : start + 2]) for start in (0, 2, 4)]
    assert torch.equal(walked(model, WINDOWS, 2), torch.cat(parts))
    torch.testing.assert_close(walked(model, WINDOWS, 3), torch.cat(parts))


@pytest.mark.parametrize("family", DECODERS)
def test_nothing_asked_for_changes_nothing(family):
    model, reports = pruned(family, "wanda", Unstructured(0.0))
    assert all(matrix.sparsity == matrix.relative_error == 0 for report in reports for matrix in report.matrices)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tiny(family).parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "pattern"),
    [("magnitude", Unstructured(0.5)), ("wanda", NofM(2, 4)), ("sparsegpt", NofM(2, 4)), ("ria", NofM(2, 4))],
)
@pytest.mark.parametrize("family", DECODERS)
def test_every_matrix_of_the_layers_has_the_sparsity(family, method, pattern):
    model, reports = pruned(family, method, pattern)
    assert [report.layer for report in reports] == list(range(LAYERS))
    inside = set()
    for layer, report in zip(decoder_layers(model), reports, strict=True):
        found = linears(layer)
        assert [matrix.name for matrix in report.matrices] == list(found)
        for matrix in report.matrices:
            zeros = int((weight_view(found[matrix.name]) == 0).sum())
            # Magnitude's threshold takes the weight that it is read from, and all that equal it.
            assert zeros == matrix.rows * matrix.columns // 2 + (method == "magnitude")
        inside |= {id(module.weight) for module in found.values()}
    for (name, one), other in zip(model.named_parameters(), tiny(family).parameters(), strict=True):
        assert id(one) in inside or torch.equal(one, other), name


@pytest.mark.parametrize("family", DECODERS)
def test_padding_is_not_seen(family):
    """What stands in the padding makes no difference."""
    padded, other = tiny(family), tiny(family)
    prune(padded, "wanda", Unstructured(0.5), WINDOWS, lengths=LENGTHS, batch=2)
    rest = torch.arange(24) >= LENGTHS[:, None]
    prune(other, "wanda", Unstructured(0.5), WINDOWS.masked_fill(rest, 7), lengths=LENGTHS, batch=2)
    for (name, one), same in zip(padded.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same), name


@pytest.mark.parametrize(("family", "dtype"), SAVED)
def test_what_is_saved_is_what_was_pruned(family, dtype, tmp_path):
    """Sharded, in the checkpoint's type, and read by transformers alone."""
    tiny(family).to(dtype).save_pretrained(tmp_path / "dense", max_shard_size="20KB")
    assert len(list((tmp_path / "dense").glob("model-*.safetensors"))) > 1
    lm = load(tmp_path / "dense", device="cpu", resident=False)
    assert lm.dtype == lm.model.dtype == dtype
    prune(lm.model, "wanda", NofM(2, 4), WINDOWS, batch=2, dtype=torch.float32)
    lm.model.save_pretrained(tmp_path / "pruned", max_shard_size="20KB")
    again, keys = AutoModelForCausalLM.from_pretrained(
        tmp_path / "pruned", dtype="auto", use_safetensors=True, output_loading_info=True
    )
    assert again.dtype == dtype and not keys["missing_keys"] and not keys["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(again.eval()(WINDOWS).logits, lm.model(WINDOWS).logits)
    for layer in decoder_layers(again):
        assert all(float((weight_view(module) == 0).float().mean()) == 0.5 for module in linears(layer).values())
    index = json.loads((tmp_path / "pruned" / "model.safetensors.index.json").read_text())["weight_map"]
    kept = json.loads((tmp_path / "dense" / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == kept.keys()
    for file in sorted(set(index.values())):
        with safe_open(tmp_path / "pruned" / file, "pt") as stored:
            assert all(stored.get_tensor(key).dtype == dtype for key in stored.keys())  # noqa: SIM118
