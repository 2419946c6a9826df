"""The linear map from the residual stream to logits, against the model's own final modules, for every family."""

import pytest
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.unembedding import LinearNorm, linear_norm, norms_of_outputs, read_unembedding
from tests.models import DECODERS, tiny


def logits_of(model: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """The model's logits when its last decoder layer outputs `hidden` [1, 2, features]."""

    def replace(_module: nn.Module, _args: object, output: object) -> object:
        if isinstance(output, tuple | list):
            return type(output)([hidden, *output[1:]])
        return hidden

    handle = decoder_layers(model)[-1].register_forward_hook(replace)  # type: ignore[arg-type]
    try:
        with torch.no_grad():
            return model(input_ids=torch.tensor([[5, 6]]), use_cache=False).logits[0].double()
    finally:
        handle.remove()


@pytest.mark.parametrize("family", DECODERS)
def test_differences_of_logits_are_those_of_the_model(family: str) -> None:
    model = tiny(family)
    torch.manual_seed(1)
    for parameter in model.parameters():  # gains that are not all alike
        if parameter.dim() == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    found = read_unembedding(model)
    hidden = 3 * torch.randn(
        1, 2, found.projection.shape[1] if found.projection is not None else found.embedding.shape[1]
    )
    # Without a norm the map is linear; with one, divided by the input's scale. The bias is that of opposite inputs.
    plus, minus = logits_of(model, hidden), logits_of(model, -hidden)
    if family in ("gemma2", "gemma4"):  # their logits are capped by a tanh
        cap = model.config.get_text_config().final_logit_softcapping
        if cap:
            plus, minus = (cap * torch.atanh(each / cap) for each in (plus, minus))
    columns = hidden[0].T
    if found.norm is not None:
        inside = columns - columns.mean(0) if found.norm.centred else columns
        columns = columns / inside.square().mean(0).sqrt()
    expected = (found.embedding.float() @ found.before_embedding(columns)).T.double()
    scale = getattr(model.config, "logit_scale", None) or 1.0  # Cohere; the same for all tokens
    torch.testing.assert_close((plus - minus) / 2, expected * scale, rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("family", "norms"),
    [
        ("gemma2", {0, 1}),
        ("gemma3", {0, 1}),
        ("llama", set()),
        ("opt", set()),
        ("gpt2", set()),
        ("opt_post_norm", set()),
        ("falcon", set()),
    ],
)
def test_norms_of_the_mlps_output(family: str, norms: set[int]) -> None:
    model = tiny(family)
    found = norms_of_outputs(model)
    assert set(found) == norms
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for layer, norm in found.items():
        own = decoder_layers(model)[layer].post_feedforward_layernorm
        torch.testing.assert_close(norm.gain, 1 + own.weight)
        assert not norm.centred
        assert down_projection(decoder_layers(model)[layer]).weight.shape[0] == len(norm.gain)


@pytest.mark.parametrize("width", [7, 8])
@pytest.mark.parametrize("centred", [False, True])
def test_a_norm_by_its_behaviour(width: int, centred: bool) -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(width) if centred else nn.RMSNorm(width, eps=1e-6)
    norm.weight.data = torch.randn(width)
    if centred:
        norm.bias.data = torch.randn(width)
    found = linear_norm(norm, tiny("llama"))
    assert found.centred is centred
    torch.testing.assert_close(found.gain, norm.weight.data, rtol=1e-3, atol=1e-4)


def test_a_norm_of_another_form_is_refused() -> None:
    class Signs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.weight * inputs.sign()

    with pytest.raises(UnsupportedModel, match="its Signs is neither an RMSNorm nor a LayerNorm"):
        linear_norm(Signs(), tiny("llama"))


def test_a_model_without_an_output_embedding_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="LlamaModel has no output embedding, so its neurons write no tokens"):
        read_unembedding(tiny("llama").model)


def test_the_linear_form_of_a_layer_norm() -> None:
    norm = LinearNorm(torch.tensor([1.0, 2.0]), centred=True)
    assert norm(torch.tensor([[1.0], [3.0]])).tolist() == [[-1.0], [2.0]]
