"""The walk against a brute-force one that runs the whole model again for every layer."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection, linears, weight_view
from prunescope.lm.errors import BadData, BadInput, BadPattern, Cancelled, UnsupportedModel
from prunescope.lm.hooks import record_inputs
from prunescope.pruning.checks import NotFinite
from prunescope.pruning.masks import keep_by_row
from prunescope.pruning.methods import METHODS
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.observation import sampled_tokens
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.statistics import InputNorms
from prunescope.pruning.walk import prune
from tests.models import FAMILIES, tiny

WINDOWS = torch.randint(0, 300, (5, 24), generator=torch.Generator().manual_seed(2))


def slow_wanda(model, pattern):
    """For each layer a pass of the whole model, window by window, with plain hooks; returns the relative errors."""
    positions = sampled_tokens(*WINDOWS.shape)
    errors = {}
    for index, layer in enumerate(decoder_layers(model)):
        inputs = {name: [] for name in linears(layer)}
        with record_inputs(
            linears(layer), lambda name, x, inputs=inputs: inputs[name].append(x.reshape(-1, x.shape[-1]))
        ):
            for window in WINDOWS:
                model(window[None])
        for name, module in linears(layer).items():
            weight = weight_view(module)
            norm = torch.stack([x.square().sum(dim=0) for x in inputs[name]]).mean(dim=0).sqrt()
            pruned = weight * keep_by_row(weight.abs() * norm, pattern)
            sample = torch.cat(inputs[name])[positions]
            difference = torch.linalg.vector_norm(sample @ (pruned - weight).T)
            errors[index, name] = float(difference / torch.linalg.vector_norm(sample @ weight.T))
            weight.copy_(pruned)
    return errors


@pytest.mark.parametrize("pattern", [Unstructured(0.5), NofM(2, 4)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_wanda_equals_brute_force(family, pattern):
    expected, model = tiny(family), tiny(family)
    errors = slow_wanda(expected, pattern)
    reports = prune(model, "wanda", pattern, WINDOWS, batch=2)
    for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert [report.layer for report in reports] == [0, 1] and all(report.layers == 2 for report in reports)
    for report, layer in zip(reports, decoder_layers(model), strict=True):
        assert [matrix.name for matrix in report.matrices] == list(linears(layer))
        for matrix in report.matrices:
            weight = weight_view(linears(layer)[matrix.name])
            assert (matrix.rows, matrix.columns) == tuple(weight.shape) and matrix.layer == report.layer
            assert matrix.sparsity == 0.5 == float((weight == 0).float().mean())
            assert matrix.relative_error == pytest.approx(errors[matrix.layer, matrix.name], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_magnitude_touches_the_linears_of_the_layers_and_nothing_else(family):
    model, dense = tiny(family), tiny(family)
    reports = prune(model, "magnitude", Unstructured(0.5), None)
    pruned = {id(module.weight) for layer in decoder_layers(model) for module in linears(layer).values()}
    for (name, one), other in zip(model.named_parameters(), dense.parameters(), strict=True):
        if id(one) in pruned:
            threshold = other.abs().flatten().sort().values[one.numel() // 2]
            assert torch.equal(one, torch.where(other.abs() > threshold, other, 0)), name
        else:
            assert torch.equal(one, other), name
    assert all(matrix.relative_error is None for report in reports for matrix in report.matrices)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_shared_by_linears_are_gathered_once_and_passes_are_spared(family, monkeypatch):
    """Statistics: one object per input. The last linear of a layer runs for no micro-batch but the walk's first one."""
    groups = []
    original = METHODS["wanda"]

    @dataclass(frozen=True)
    class Counting(original):
        def statistics(self, columns, device):
            groups.append(columns)
            return super().statistics(columns, device)

    monkeypatch.setitem(METHODS, "counting", Counting)
    model = tiny(family)
    runs = {0: 0, 1: 0}
    for index, layer in enumerate(decoder_layers(model)):
        down_projection(layer).register_forward_hook(lambda *_, index=index: runs.__setitem__(index, runs[index] + 1))
    prune(model, "counting", Unstructured(0.5), WINDOWS, batch=2)
    assert groups == [32, 32, 32, 64] * 2  # attention in, attention out, MLP in, neurons
    # Three micro-batches: once to learn how the layer returns, once whole, three times for the next layer's inputs.
    assert runs == {0: 5, 1: 0}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_left_as_it_was_but_for_its_weights(family):
    model = tiny(family).train()
    before = {name: set(module.__dict__) for name, module in model.named_modules()}
    prune(model, "wanda", Unstructured(0.0), WINDOWS, batch=2)
    assert model.training
    assert {name: set(module.__dict__) for name, module in model.named_modules()} == before
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tiny(family).parameters(), strict=True))


def test_a_patched_forward_is_put_back():
    model = tiny("llama")
    layer = decoder_layers(model)[0]
    patched = layer.forward
    layer.forward = patched
    prune(model, "wanda", Unstructured(0.5), WINDOWS)
    assert layer.__dict__["forward"] == patched


def test_cancelling_passes_through_and_leaves_the_later_layers_dense():
    model, dense = tiny("opt"), tiny("opt")

    def stop(report):
        raise Cancelled

    with pytest.raises(Cancelled):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, on_layer=stop)
    first, second = decoder_layers(model)
    assert (weight_view(down_projection(first)) == 0).float().mean() == 0.5
    assert torch.equal(weight_view(down_projection(second)), weight_view(down_projection(decoder_layers(dense)[1])))
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_weights(dtype):
    model = tiny("llama").to(dtype)
    reports = prune(model, "wanda", NofM(2, 4), WINDOWS)
    assert all(matrix.sparsity == 0.5 for report in reports for matrix in report.matrices)
    assert all(0 < matrix.relative_error < 1 for report in reports for matrix in report.matrices)


def test_columns_that_m_does_not_divide_change_nothing():
    model = tiny("llama")
    with pytest.raises(BadPattern, match=r"layer 0 self_attn\.q_proj: 32 columns cannot be cut into groups of 5"):
        prune(model, "magnitude", NofM(2, 5), None)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tiny("llama").parameters(), strict=True))


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (torch.zeros(0, 8, dtype=torch.long), r"shape \[0, 8\]"),
        (torch.zeros(1, 129, dtype=torch.long), "129 tokens, but the model reads at most 128"),
        (torch.full((1, 8), 300), "token id 300 is not among the model's 300"),
        (torch.full((1, 8), -1), "token id -1"),
    ],
)
def test_windows_the_model_cannot_read(windows, message):
    with pytest.raises(BadData, match=message):
        prune(tiny("llama"), "wanda", Unstructured(0.5), windows)


def test_wanda_needs_windows():
    with pytest.raises(BadInput, match="wanda needs calibration windows"):
        prune(tiny("llama"), "wanda", Unstructured(0.5), None)


def test_numbers_that_are_not_finite_are_named():
    model = tiny("llama")
    weight_view(down_projection(decoder_layers(model)[1]))[3, 4] = float("nan")
    with pytest.raises(BadInput, match=r"layer 1 mlp\.down_proj: the weights hold NaN"):
        prune(model, "magnitude", Unstructured(0.5), None)
    model = tiny("llama")
    model.get_input_embeddings().weight[:] = float("inf")
    with pytest.raises(
        NotFinite, match=r"before layer 0: the hidden state holds infinity, in window 0 at token 0 first"
    ):
        prune(model, "wanda", Unstructured(0.5), WINDOWS)
    model = tiny("llama")
    decoder_layers(model)[0].input_layernorm.weight[:] = float("inf")
    with pytest.raises(NotFinite, match=r"layer 0 self_attn\.q_proj, .*v_proj: the calibration inputs are not finite"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS)


def test_the_layer_that_makes_a_number_that_is_not_finite_is_named():
    model = tiny("llama").to(torch.float16)
    weight_view(down_projection(decoder_layers(model)[0]))[:] = 6e4  # sums of them are beyond float16
    with pytest.raises(NotFinite, match=r"after layer 0: the hidden state holds \w+, .*: compute in a wider type"):
        prune(model, "wanda", Unstructured(0.0), WINDOWS)
    report = prune(model, "wanda", Unstructured(0.5), WINDOWS, dtype=torch.float32)
    assert report[0].matrices[-1].relative_error < 1


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        (torch.float16, r"; float16 holds at most 65504: compute in a wider type \(--dtype float32 or bfloat16\)$"),
        (torch.bfloat16, r"; compute in a type with more digits \(--dtype float32\)$"),
        (torch.float32, "; computed in float32 already: the checkpoint is damaged, or does not belong to its config$"),
    ],
    ids=str,
)
def test_another_type_is_advised_only_where_it_is_not_in_use(dtype, advice):
    model = tiny("llama").to(dtype)
    model.get_input_embeddings().weight[:] = float("nan")
    with pytest.raises(NotFinite, match=advice):
        prune(model, "sparsegpt", Unstructured(0.5), WINDOWS)


def test_finite_weights_whose_sum_is_not_are_no_error():
    model = tiny("llama")
    weight_view(down_projection(decoder_layers(model)[1]))[:2, :2] = 3e38
    assert len(prune(model, "magnitude", Unstructured(0.5), None)) == 2


def test_a_linear_that_no_window_reaches_is_named():
    model = tiny("llama")
    decoder_layers(model)[1].spare = nn.Linear(32, 32)
    with pytest.raises(UnsupportedModel, match="layer 1: no calibration window reaches spare"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS)


def test_a_linear_whose_input_changes_hands_is_named():
    model = tiny("opt")
    layer = decoder_layers(model)[0]
    attention = layer.self_attn
    flips = iter([True, True, True, False, False])

    def hand_over(module, args, kwargs):
        return (args[0] if next(flips) else args[0].clone(), *args[1:]), kwargs

    attention.k_proj.register_forward_pre_hook(hand_over, with_kwargs=True)
    with pytest.raises(
        UnsupportedModel, match=r"self_attn\.k_proj and self_attn\.q_proj read the same input in some passes"
    ):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, batch=1)


def test_windows_that_call_other_linears_are_seen_whole():
    """As in a mixture of experts: what one window leaves out, another one reaches."""
    model = tiny("llama")
    seen = {"one": 0, "other": 0, "down": 0}
    for layer in decoder_layers(model)[:1]:
        layer.one, layer.other = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
        passes = iter([0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2])  # the first looks how the layer returns

        def route(module, args, kwargs, out, layer=layer, passes=passes):
            experts = {0: [], 1: [layer.one], 2: [layer.one, layer.other]}[next(passes)]
            for expert in experts:
                expert(out[0].clone())

        layer.self_attn.register_forward_hook(route, with_kwargs=True)
        layer.one.register_forward_hook(lambda *_: seen.__setitem__("one", seen["one"] + 1))
        layer.other.register_forward_hook(lambda *_: seen.__setitem__("other", seen["other"] + 1))
        layer.mlp.down_proj.register_forward_pre_hook(lambda *_: seen.__setitem__("down", seen["down"] + 1))
    prune(model, "wanda", Unstructured(0.5), WINDOWS, batch=1)
    # Five windows, twice each (statistics, then the next layer's inputs), and the first look; the down-projection's
    # input is met in every one of them.
    assert seen == {"one": 10, "other": 8, "down": 11}


def test_an_output_of_zero_has_no_relative_error():
    model = tiny("llama")
    weight_view(down_projection(decoder_layers(model)[0])).zero_()
    matrix = prune(model, "wanda", Unstructured(0.5), WINDOWS)[0].matrices[-1]
    assert matrix.relative_error is None
    assert matrix.error_note == "the dense output was zero for every sampled token, so a relative error is undefined"
    assert matrix.sparsity == 1
    assert matrix.sparsity_note.startswith("100.0% zeros, 50.0% asked for: 1024 weights are zero that the mask keeps")


def test_inputs_that_are_no_tokens_have_no_relative_error():
    """A linear that looks at every second token: its statistics stand, a sample of tokens cannot be told."""
    model = tiny("opt")
    layer = decoder_layers(model)[0]
    layer.spare = nn.Linear(32, 32, bias=False)
    layer.self_attn.register_forward_hook(lambda module, args, out: layer.spare(out[0][:, ::2]) is None or None)
    report = prune(model, "wanda", Unstructured(0.5), WINDOWS)[0]
    spare = next(matrix for matrix in report.matrices if matrix.name == "spare")
    assert spare.relative_error is None and spare.sparsity == 0.5 and not spare.sparsity_note
    assert spare.error_note.startswith("this linear does not read the windows' tokens in their order")
    assert not any(matrix.error_note for matrix in report.matrices if matrix.name != "spare")


@dataclass(frozen=True)
class Halving(Calibrated[InputNorms]):
    """Keeps the second half of each row's groups in an order of its own, and halves what it keeps."""

    def statistics(self, columns, device):
        return InputNorms(columns, device)

    def decide(self, weights, statistics, pattern):
        decisions = []
        for weight in weights:
            columns = weight.shape[1]
            keep = torch.zeros_like(weight, dtype=torch.bool)
            keep[:, columns // 2 :] = True
            order = torch.arange(columns).view(2, -1).T.flatten()  # one of the first half, one of the second, ...
            decisions.append(Decision(keep, weight / 2, order))
        return decisions


def test_methods_may_move_weights_and_columns(monkeypatch):
    monkeypatch.setitem(METHODS, "halving", Halving)
    model, dense = tiny("gpt2"), tiny("gpt2")
    report = prune(model, "halving", NofM(1, 2), WINDOWS)[0]
    one, other = (weight_view(down_projection(decoder_layers(m)[0])) for m in (model, dense))
    assert torch.equal(one[:, 32:], other[:, 32:] / 2) and not one[:, :32].any()
    assert all(matrix.sparsity == 0.5 for matrix in report.matrices)


def test_sampled_tokens():
    assert sampled_tokens(2, 10).tolist() == list(range(20))
    many = sampled_tokens(128, 2048)
    assert len(many) == 512 == len(set(many.tolist())) and many.tolist() == sorted(many.tolist())
    assert len(sampled_tokens(8, 64)) == 128 and len(sampled_tokens(64, 256)) == 256
