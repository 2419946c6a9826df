"""A streamed corpus against all activations in memory, on families with different MLPs; NaN; cancelling."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, weight_view
from prunescope.lm.errors import Cancelled, NotFinite
from prunescope.nsa.corpus import stream as streaming
from prunescope.nsa.corpus.sampling import QUANTILES, draw
from prunescope.nsa.corpus.statistics import NONE
from prunescope.nsa.corpus.stream import reading_order, stream
from prunescope.nsa.corpus.windows import Windows
from tests.models import NEURONS, tiny, tiny_longrope
from tests.nsa.corpus.plain import all_activations, best_examples, counted_of, sinks_of

FAMILIES = ("llama", "opt", "gpt2", "gpt_neox", "phi3", "falcon")


def random_windows(seed: int = 0, lengths: tuple[int, ...] = (30, 9, 30, 17, 30, 2, 30, 9)) -> Windows:
    random = np.random.default_rng(seed)
    ends = np.cumsum(lengths)
    ids = random.integers(2, 300, int(ends[-1])).astype(np.int32)
    counted = np.ones(len(ids), dtype=bool)
    counted[[0, *ends[:-1]]] = False
    counted[[35, 60, 61]] = False  # special tokens inside a text
    return Windows(ids, counted, ends, 3, bos=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_statistics_are_those_of_all_activations(family: str, batch_tokens: int) -> None:
    model, windows = tiny(family), random_windows()
    order = reading_order(windows)
    found = stream(model, windows, draw(windows, order, 0), layers=[0, 1], examples=4, batch_tokens=batch_tokens)
    plain, counted = all_activations(model, windows), counted_of(windows)
    for layer, values in enumerate(plain):
        inside = np.concatenate([one[mask] for one, mask in zip(values, counted, strict=True)])
        scale = np.abs(inside).max()
        close = {"rtol": 1e-4, "atol": 1e-5 * scale}
        np.testing.assert_allclose(found.mean[layer], inside.mean(0), **close)
        np.testing.assert_allclose(found.deviation[layer], inside.std(0), rtol=1e-3, atol=1e-4 * scale)
        np.testing.assert_allclose(found.maximum[layer], inside.max(0), **close)
        np.testing.assert_allclose(found.minimum[layer], inside.min(0), **close)
        np.testing.assert_allclose(found.density[layer], (inside > 0).mean(0), atol=0.011)
        half = np.quantile(inside, QUANTILES, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(found.quantiles[layer], half, rtol=2e-3, atol=1e-3 * scale)
        for sign, examples in ((1, found.highest), (-1, found.lowest)):
            for neuron in range(0, NEURONS, 7):
                expected = best_examples(values, counted, order.tolist(), neuron, 4, sign)
                places = examples.windows[layer, :, neuron] != NONE
                assert places.sum() == len(expected)
                np.testing.assert_allclose(
                    examples.values[layer, places, neuron], [value for value, *_ in expected], **close
                )
                at = [
                    (int(window), int(position))
                    for window, position in zip(
                        examples.windows[layer, places, neuron], examples.positions[layer, places, neuron], strict=True
                    )
                ]
                for value, (window, position) in zip([value for value, *_ in expected], at, strict=True):
                    assert counted[window][position]
                    np.testing.assert_allclose(values[window][position, neuron], value, **close)
    assert not any(module._forward_pre_hooks for module in model.modules())


def loud(family: str) -> PreTrainedModel:
    """A tiny model in which token 7 has a massive hidden state."""
    model = tiny(family)
    model.get_input_embeddings().weight[7, 3] = 5000.0  # type: ignore[index]
    return model


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_attention_sinks_are_left_out(family: str, batch_tokens: int) -> None:
    model, windows = loud(family), random_windows()
    places = [
        0,
        3,
        29,
        38,
        88,
    ]  # 0 begins a window, 29 ends one, 38 ends a shorter one
    windows.ids[places] = 7
    order = reading_order(windows)
    sample, options = draw(windows, order, 0, 90), {"layers": [0, 1], "examples": 4, "batch_tokens": batch_tokens}
    found = stream(model, windows, sample, find_sinks=True, **options)  # type: ignore[arg-type]
    expected = sinks_of(model, windows)
    np.testing.assert_array_equal(found.sinks, expected)
    assert expected[places[1:]].all() and not expected[0]
    kept = sample.without(expected, windows, order)
    assert 0 < len(kept.rank) < len(sample.rank)
    told = stream(model, windows.without(expected), kept, **options)  # type: ignore[arg-type]
    assert not told.sinks.any()
    for name in ("mean", "deviation", "minimum", "maximum", "density", "quantiles"):
        np.testing.assert_array_equal(getattr(found, name), getattr(told, name), name)
    for one, other in ((found.highest, told.highest), (found.lowest, told.lowest)):
        for name in ("values", "windows", "positions"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_without_sinks_nothing_is_left_out() -> None:
    model, windows = tiny("llama"), random_windows()
    sample = draw(windows, reading_order(windows), 0)
    plain, found = (stream(model, windows, sample, layers=[1], examples=3, find_sinks=each) for each in (False, True))
    assert not found.sinks.any()
    np.testing.assert_array_equal(plain.mean, found.mean)
    np.testing.assert_array_equal(plain.highest.positions, found.highest.positions)


def test_the_activations_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_KEPT_BYTES", 40 * 2 * NEURONS * 4)  # of 40 tokens
    windows, seen = random_windows(), list[int]()
    stream(
        tiny("llama"),
        windows,
        draw(windows, reading_order(windows), 0),
        layers=[0, 1],
        examples=2,
        find_sinks=True,
        on_batch=lambda done, total: seen.append(done),
    )
    assert seen == [1, 2, 3, 4, 6, 8]


def test_only_the_layers_asked_for() -> None:
    windows = random_windows()
    sample = draw(windows, reading_order(windows), 0)
    both, one = (stream(tiny("llama"), windows, sample, layers=layers, examples=2) for layers in ([0, 1], [1]))
    assert one.mean.shape == (1, NEURONS)
    np.testing.assert_array_equal(one.highest.values[0], both.highest.values[1])


def test_a_variants_activations_at_the_dense_models_examples() -> None:
    dense, pruned, windows = tiny("llama"), tiny("llama", seed=1), random_windows()
    sample = draw(windows, reading_order(windows), 0)
    first = stream(dense, windows, sample, layers=[0, 1], examples=3, batch_tokens=64)
    assert first.here is None
    other = (first.highest, first.lowest)
    second = stream(pruned, windows, sample, layers=[0, 1], examples=3, other=other, batch_tokens=64)
    own = stream(dense, windows, sample, layers=[0, 1], examples=3, other=other, batch_tokens=64)
    assert second.here is not None and own.here is not None
    plain = all_activations(pruned, windows)
    for examples, here, mine in zip(other, second.here, own.here, strict=True):
        np.testing.assert_allclose(mine, examples.values, rtol=1e-5, atol=1e-7)
        for layer, place, neuron in np.ndindex(*examples.windows.shape):
            window = examples.windows[layer, place, neuron]
            expected = 0.0 if window == NONE else plain[layer][window][examples.positions[layer, place, neuron], neuron]
            np.testing.assert_allclose(here[layer, place, neuron], expected, rtol=1e-3, atol=1e-5)


def test_negative_activations_of_a_relu_are_no_examples() -> None:
    windows = random_windows()
    found = stream(tiny("opt"), windows, draw(windows, reading_order(windows), 0), layers=[0, 1], examples=3)
    assert (found.lowest.windows == NONE).all()
    assert (found.minimum >= 0).all()


def test_windows_on_both_sides_of_a_length_switch_are_read_apart() -> None:
    model, windows = tiny_longrope(), random_windows(lengths=(30, 30, 20, 20, 10))
    sample = draw(windows, reading_order(windows), 0)
    found = stream(model, windows, sample, layers=[0, 1], examples=3, batch_tokens=4096)
    plain, counted = all_activations(model, windows), counted_of(windows)
    for layer, values in enumerate(plain):
        inside = np.concatenate([one[mask] for one, mask in zip(values, counted, strict=True)])
        np.testing.assert_allclose(found.maximum[layer], inside.max(0), rtol=1e-3, atol=1e-5)


def test_nan_is_refused_with_its_place() -> None:
    model, windows = tiny("llama"), random_windows()
    layer = decoder_layers(model)[1]
    layer.mlp.up_proj.weight.data[5] = torch.nan
    with pytest.raises(NotFinite, match=r"layer 1, neuron 5: its activation in window 0: .* holds NaN or infinity"):
        stream(model, windows, draw(windows, reading_order(windows), 0), layers=[0, 1], examples=2)


def test_a_number_beyond_half_precision_is_refused() -> None:
    model, windows = tiny("llama"), random_windows()
    weight_view(decoder_layers(model)[0].mlp.up_proj)[7] *= 1e6
    with pytest.raises(NotFinite, match=r"layer 0, neuron 7: an activation of .* is beyond float16"):
        stream(model, windows, draw(windows, reading_order(windows), 0), layers=[0, 1], examples=2)


def test_cancelling_leaves_no_hooks() -> None:
    model, windows = tiny("llama"), random_windows()
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise Cancelled

    with pytest.raises(Cancelled):
        stream(
            model,
            windows,
            draw(windows, reading_order(windows), 0),
            layers=[0, 1],
            examples=2,
            batch_tokens=60,
            on_batch=stop,
        )
    assert seen == [(2, 8)]
    assert not any(module._forward_pre_hooks for module in model.modules())
