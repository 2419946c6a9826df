"""Recorded activations against plain forward hooks, one text at a time."""

import numpy as np
import pytest
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection
from prunescope.lm.errors import Cancelled
from prunescope.nsa.errors import NotFinite
from prunescope.nsa.recording import record
from tests.models import NEURONS, tiny

IDS = [[0, 40, 41, 42, 43], [0, 50], [0, 60, 61, 62, 63, 64, 65, 66, 67], [0, 70, 71, 72]]
DOWN = {
    "llama": "model.layers.{}.mlp.down_proj",
    "opt": "model.decoder.layers.{}.fc2",
    "gpt2": "transformer.h.{}.mlp.c_proj",
    "gpt_neox": "gpt_neox.layers.{}.mlp.dense_4h_to_h",
    "mistral": "model.layers.{}.mlp.down_proj",
    "phi3": "model.layers.{}.mlp.down_proj",  # gate and up in one matrix
}


def plain(model: nn.Module, family: str, layer: int) -> np.ndarray:
    """[tokens, neurons] by a hook of PyTorch's own, one forward pass per text."""
    seen: list[torch.Tensor] = []
    module = model.get_submodule(DOWN[family].format(layer))
    handle = module.register_forward_pre_hook(lambda _module, args: seen.append(args[0].reshape(-1, NEURONS)))
    for ids in IDS:
        model(torch.tensor([ids]))
    handle.remove()
    return torch.cat(seen).numpy()


def recorded(model: nn.Module, **options: object) -> dict[int, np.ndarray]:
    pieces: dict[int, list[tuple[int, np.ndarray]]] = {}
    record(model, IDS, lambda layer, start, values: pieces.setdefault(layer, []).append((start, values)), **options)  # type: ignore[arg-type]
    for found in pieces.values():
        starts = [start for start, _ in found]
        assert starts == [0, *np.cumsum([len(values) for _, values in found])[:-1]]
    return {layer: np.concatenate([values for _, values in found]) for layer, found in pieces.items()}


@pytest.mark.parametrize("family", list(DOWN))
@pytest.mark.parametrize("batch_tokens", [1, 11, 2048])
def test_activations_are_those_of_plain_hooks(family: str, batch_tokens: int) -> None:
    model = tiny(family)
    found = recorded(model, batch_tokens=batch_tokens)
    assert sorted(found) == [0, 1]
    for layer, values in found.items():
        assert values.dtype == np.float16
        expected = plain(model, family, layer)
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_only_the_layers_asked_for() -> None:
    assert list(recorded(tiny("llama"), layers=[1])) == [1]


def test_progress_may_stop_it_and_hooks_are_gone() -> None:
    model = tiny("llama")
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        recorded(model, batch_tokens=1, on_batch=stop)
    assert seen == [(1, 4), (2, 4)]
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(("weight", "said"), [(float("nan"), "is NaN"), (1e9, "is beyond float16")])
def test_a_value_that_cannot_be_kept_names_layer_and_neuron(weight: float, said: str) -> None:
    model = tiny("opt")
    # The bias of fc1 gives neuron 7 of layer 1 the same value at every token.
    model.get_submodule("model.decoder.layers.1.fc1").bias[7] = weight
    with pytest.raises(NotFinite, match=rf"layer 1, neuron 7.*{said}"):
        recorded(model)
    assert down_projection(decoder_layers(model)[1]) is model.get_submodule("model.decoder.layers.1.fc2")


def test_nan_is_said_with_the_layer_that_makes_it_and_what_helps() -> None:
    model = tiny("llama")
    weight = model.get_submodule("model.layers.0.mlp.down_proj").weight
    weight[3, 5] = float("nan")
    said = r"layer 1, neuron 0: its activation at token 0 of text 0 is NaN: LlamaForCausalLM gives .* from layer 0 on; "
    with pytest.raises(NotFinite, match=rf"{said}its weight model.layers.0.mlp.down_proj.weight .* another copy of it"):
        recorded(model)
    weight[3, 5] = 1e38
    with pytest.raises(NotFinite, match=r"is NaN: .* from layer 0 on; .* in float16: compute in float32"):
        recorded(model.half())


def test_large_values_that_float16_holds_are_kept() -> None:
    model = tiny("opt")
    model.get_submodule("model.decoder.layers.1.fc1").bias[7] = 65000
    assert np.isfinite(found := recorded(model)[1]).all() and found[:, 7].min() > 64000
