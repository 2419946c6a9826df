import pytest
import torch

from prunescope.lm.architecture import decoder_layers
from prunescope.pruning.capture import capture
from tests.models import FAMILIES, tiny

CPU = torch.device("cpu")
WINDOWS = torch.randint(0, 300, (5, 24), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("batch", [1, 2, 5, 9])
@pytest.mark.parametrize("family", FAMILIES)
def test_walking_the_layers_is_running_the_model(family, batch):
    model = tiny(family)
    layers = list(decoder_layers(model))
    outputs = []
    handles = [
        layer.register_forward_hook(lambda _m, _a, out: outputs.append(out[0] if isinstance(out, tuple) else out))
        for layer in layers
    ]
    model(WINDOWS)
    for handle in handles:
        handle.remove()
    inputs = capture(model, layers, WINDOWS, batch, CPU)
    for index, (layer, expected) in enumerate(zip(layers, outputs, strict=True)):
        inputs.advance(index, layer)
        torch.testing.assert_close(inputs.hidden, expected)


def test_equal_arguments_are_kept_once():
    model = tiny("mistral")  # whose sliding window makes a mask
    inputs = capture(model, list(decoder_layers(model)), WINDOWS, 2, CPU)
    masks = [calls[index].kwargs["attention_mask"] for calls in inputs._calls[:2] for index in range(2)]
    rotations = [calls[0].kwargs["position_embeddings"][0] for calls in inputs._calls]
    assert masks[0] is not None and all(mask is masks[0] for mask in masks)
    assert rotations[0] is rotations[1]


def test_a_layer_that_takes_its_hidden_state_by_keyword():
    model = tiny("llama")
    layers = list(decoder_layers(model))
    outer = model.model

    class ByKeyword(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, hidden_states, **kwargs):
            return self.layer(hidden_states, **kwargs)

    wrapped = [ByKeyword(layer) for layer in layers]
    expected = outer(WINDOWS).last_hidden_state

    def forward(input_ids, use_cache):
        hidden = outer.embed_tokens(input_ids)
        rotation = outer.rotary_emb(hidden, torch.arange(input_ids.shape[1])[None])
        extra = {"nested": [{"a": torch.ones(1)}], "per_window": hidden.mean(dim=-1)}
        for layer in wrapped:
            hidden = layer(hidden_states=hidden, position_embeddings=rotation, attention_mask=None, extra=extra)
        return hidden

    model.forward = forward
    inputs = capture(model, wrapped, WINDOWS, 2, CPU)
    for index, layer in enumerate(wrapped):
        inputs.advance(index, layer)
    torch.testing.assert_close(outer.norm(inputs.hidden), expected)
