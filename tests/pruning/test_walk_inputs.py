"""Inputs of pruning: padding, micro-batches limited by memory, sparsities by layer; and its progress reports."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.errors import BadData, BadInput, UnsupportedModel
from prunescope.lm.hooks import record_inputs
from prunescope.pruning.allocation import OWL, layer_sparsities, outlier_ratio
from prunescope.pruning.batches import windows_at_once, windows_fitting
from prunescope.pruning.masks import keep_by_row
from prunescope.pruning.methods import METHODS
from prunescope.pruning.observation import sampled_tokens
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.reports import STAGES
from prunescope.pruning.walk import prune
from tests.models import FAMILIES, tiny, tiny_longrope
from tests.pruning.test_walk import WINDOWS

LENGTHS = torch.tensor([24, 3, 17, 1, 9])


def padded():
    """The windows, the tail of each replaced by one token many times over, as padding is."""
    return torch.where(torch.arange(24) < LENGTHS[:, None], WINDOWS, 7)


def slow_wanda_without_padding(model, pattern):
    """For each layer a pass of the whole model over each window alone, without its padding."""
    for layer in decoder_layers(model):
        inputs = {name: [] for name in linears(layer)}
        with record_inputs(
            linears(layer), lambda name, x, inputs=inputs: inputs[name].append(x.reshape(-1, x.shape[-1]))
        ):
            for window, length in zip(WINDOWS, LENGTHS, strict=True):
                model(window[None, :length])
        for name, module in linears(layer).items():
            weight = weight_view(module)
            norm = torch.stack([x.square().sum(dim=0) for x in inputs[name]]).mean(dim=0).sqrt()
            weight.mul_(keep_by_row(weight.abs() * norm, pattern))


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_is_no_part_of_any_statistic(family):
    """Also where a layer hands its linears flattened inputs (OPT)."""
    model, expected = tiny(family), tiny(family)
    slow_wanda_without_padding(expected, Unstructured(0.5))
    reports = prune(model, "wanda", Unstructured(0.5), padded(), lengths=LENGTHS, batch=2)
    for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert ((one == 0) == (other == 0)).float().mean() > 0.995, name  # sums in another order
    # The error is measured on real tokens: what stands in the padding changes nothing.
    others = torch.where(torch.arange(24) < LENGTHS[:, None], WINDOWS, 11)
    again = prune(tiny(family), "wanda", Unstructured(0.5), others, lengths=LENGTHS, batch=2)
    for one, other in zip(reports, again, strict=True):
        for matrix, peer in zip(one.matrices, other.matrices, strict=True):
            assert matrix.relative_error == pytest.approx(peer.relative_error, rel=1e-5)


def test_windows_that_are_all_full_need_no_lengths():
    one, other = tiny("llama"), tiny("llama")
    prune(one, "wanda", Unstructured(0.5), WINDOWS, lengths=torch.full((5,), 24))
    prune(other, "wanda", Unstructured(0.5), WINDOWS)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_real_tokens_are_drawn_for_the_error():
    drawn = sampled_tokens(5, 24, LENGTHS)
    assert len(drawn) == int(LENGTHS.sum()) and all(position % 24 < LENGTHS[position // 24] for position in drawn)


def test_short_texts_padded_to_where_a_model_reads_in_another_way():
    windows = WINDOWS.repeat(1, 2)[:, :30]  # the model's rotary embedding switches beyond 24 tokens
    wanted = "texts of 24 tokens padded to 30: in a window of more than 24 .* seqlen of at most 24, or fill the windows"
    with pytest.raises(BadData, match=wanted):
        prune(tiny_longrope(), "wanda", Unstructured(0.5), windows, lengths=torch.tensor([30, 30, 25, 24, 30]))
    prune(tiny_longrope(), "wanda", Unstructured(0.5), windows, lengths=torch.tensor([30, 30, 25, 26, 30]))


@pytest.mark.parametrize("lengths", [[24, 3, 17, 1, 0], [25, 1, 1, 1, 1], [24, 3]])
def test_lengths_that_are_not_the_windows(lengths):
    with pytest.raises(BadData, match="do not belong to 5 windows of 24 tokens"):
        prune(tiny("llama"), "wanda", Unstructured(0.5), WINDOWS, lengths=torch.tensor(lengths))


def test_padding_that_cannot_be_told_apart_is_refused():
    model = tiny("opt")
    layer = decoder_layers(model)[0]
    layer.spare = nn.Linear(32, 32, bias=False)
    layer.self_attn.register_forward_hook(lambda module, args, out: layer.spare(out[0][:, ::2]) is None or None)
    with pytest.raises(
        UnsupportedModel, match=r"spare reads \d+ of \d+ tokens: padding cannot be distinguished from text"
    ):
        prune(model, "wanda", Unstructured(0.5), padded(), lengths=LENGTHS)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_where_memory_does_not_do_fewer_windows_go_at_once(family, monkeypatch):
    """The layer's statistics begin anew, so the result is that of the smaller batch."""
    wanda = METHODS["wanda"]

    @dataclass(frozen=True)
    class Hungry(wanda):
        def statistics(self, columns, device):
            made = super().statistics(columns, device)
            add = made.add

            def bounded(inputs, sequences):
                if sequences > 2 and columns == 64:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                add(inputs, sequences)

            made.add = bounded
            return made

    monkeypatch.setitem(METHODS, "hungry", Hungry)
    model, expected = tiny(family), tiny(family)
    reports = prune(model, "hungry", NofM(2, 4), WINDOWS, batch=5)
    prune(expected, "wanda", NofM(2, 4), WINDOWS, batch=2)
    assert [report.batch for report in reports] == [2, 2]
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_window_that_does_not_fit_is_an_error(monkeypatch):
    class Hopeless(METHODS["wanda"]):
        def statistics(self, columns, device):
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setitem(METHODS, "hopeless", Hopeless)
    with pytest.raises(torch.OutOfMemoryError):
        prune(tiny("llama"), "hopeless", Unstructured(0.5), WINDOWS)


def test_windows_at_once_on_a_cpu():
    layer, cpu = decoder_layers(tiny("llama"))[0], torch.device("cpu")
    assert windows_at_once(layer, 24, cpu, torch.float32, visits=False) == 4096 // 24
    assert windows_at_once(layer, 100_000, cpu, torch.float32, visits=False) == 1


@given(st.integers(0, 10**9), st.integers(0, 10**8))
def test_more_memory_never_means_fewer_windows(free, more):
    layer = decoder_layers(tiny("llama"))[0]
    fewer, others = (windows_fitting(layer, 128, torch.float16, room) for room in (free, free + more))
    assert 1 <= fewer <= others


def test_windows_that_fit():
    """q [32, 32], k and v [16, 32], o [32, 32], gate and up [64, 32], down [32, 64]."""
    layer = decoder_layers(tiny("llama"))[0]
    statistics = 4 * (6 * 32**2 + 64**2)
    token = 2 * (64 + 48 + 48 + 64 + 3 * 96) + 8 * 64
    free = (statistics + 10.5 * 128 * token) / 0.8
    assert windows_fitting(layer, 128, torch.float16, int(free)) == 10


def slow_ratios(model, outlier):
    """Every layer's outlier ratio from one pass of the whole dense model."""
    ratios = []
    for layer in decoder_layers(model):
        inputs = {}
        with record_inputs(linears(layer), lambda name, x, inputs=inputs: inputs.update({name: x.reshape(5, 24, -1)})):
            model(WINDOWS)
        norms = [inputs[name].square().sum(dim=1).mean(dim=0).sqrt() for name in linears(layer)]
        ratios.append(outlier_ratio([weight_view(module) for module in linears(layer).values()], norms, outlier))
    return ratios


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_owl_sparsities_are_those_of_the_dense_model(family, method):
    dense, model = tiny(family), tiny(family)
    wanted = layer_sparsities(slow_ratios(dense, 2.0), [1, 1], 0.5, 0.2)
    assert wanted[0] != wanted[1]
    reports = prune(model, method, Unstructured(0.5), WINDOWS, allocation=OWL(outlier=2.0, range=0.2), batch=2)
    for report, sparsity in zip(reports, wanted, strict=True):
        for matrix in report.matrices:
            assert matrix.sparsity == pytest.approx(sparsity, abs=1 / matrix.columns)
    # The pass over the dense model left it dense: each layer is what its sparsity alone makes of it.
    if method == "magnitude":
        alone = tiny(family)
        prune(alone, method, Unstructured(wanted[1]), None)
        assert torch.equal(
            *(next(iter(linears(decoder_layers(m)[1]).values())).weight.detach() for m in (model, alone))
        )


def test_owl_needs_windows():
    with pytest.raises(BadInput, match="owl needs calibration windows"):
        prune(tiny("llama"), "magnitude", Unstructured(0.5), None, allocation=OWL())


def test_owl_names_the_layer_whose_inputs_are_not_finite():
    model = tiny("llama")
    model.get_input_embeddings().weight[:] = float("inf")
    with pytest.raises(BadInput, match="before layer 0: the hidden state holds infinity"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, allocation=OWL())


@pytest.mark.parametrize("method", ["magnitude", "wanda"])
def test_every_matrix_and_stage_is_told_of(method):
    told = []
    reports = prune(tiny("llama"), method, Unstructured(0.5), WINDOWS, on_matrix=told.append)
    assert {(matrix.layer, matrix.name) for matrix in told} == {
        (report.layer, matrix.name) for report in reports for matrix in report.matrices
    }
    for report in reports:
        assert set(report.stages) <= set(STAGES) and {"load", "decide", "save"} <= set(report.stages)
        assert report.seconds == pytest.approx(sum(report.stages.values()))
        assert ("statistics" in report.stages) or method == "magnitude"
