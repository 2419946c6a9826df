"""Finds what turns the last decoder layer's output into logits: the final norm, a projection, the output embedding.

The modules are found by running two tokens: whatever with parameters is called after the last decoder layer is part of
it. So models without a final norm, with tied or untied output embeddings, or with a projection to a narrower embedding
(OPT-350m) need no code of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.norms import is_norm

TOLERANCE = 0.02
"""Maximum relative difference between a norm and its linear form; 16-bit weights are rounded by up to 0.4 %."""


@dataclass(frozen=True)
class LinearNorm:
    """A norm without its division by the input's scale, which is one positive number for all features of a token and so
    does not change the order of tokens: `gain * (x - mean(x))` for a LayerNorm (`centred`), `gain * x` for an RMSNorm.
    The gain is what the module applies, also where it stores it as `weight - 1` (Gemma). A bias is constant and left
    out.
    """

    gain: Float[Tensor, " features"]
    centred: bool

    def __call__(self, columns: Float[Tensor, "features some"]) -> Float[Tensor, "features some"]:
        """The norm's linear form, applied to each column."""
        inside = columns - columns.mean(0, keepdim=True) if self.centred else columns
        return self.gain[:, None] * inside


@dataclass(frozen=True)
class Unembedding:
    """The linear map from a direction of the residual stream to logits. `embedding` is the output embedding's weight, a
    view; `norms` and `projection` are None if the model has none."""

    norm: LinearNorm | None
    projection: Float[Tensor, "width hidden"] | None
    embedding: Float[Tensor, "vocabulary width"]

    def before_embedding(self, columns: Float[Tensor, "hidden some"]) -> Float[Tensor, "width some"]:
        """Directions of the residual stream, as they reach the output embedding; float32."""
        inside = columns.float()
        if self.norm is not None:
            inside = self.norm(inside)
        return inside if self.projection is None else self.projection.float() @ inside


@torch.no_grad()
def read_unembedding(model: PreTrainedModel) -> Unembedding:
    """Return the unembedding of a model. Raises UnsupportedModel when there is no output embedding, or when other
    modules with parameters lie between the last decoder layer and it."""
    output = model.get_output_embeddings()
    if output is None:
        raise UnsupportedModel(f"{type(model).__name__} has no output embedding, so its neurons write no tokens")
    between = [module for module in _called_after_layers(model) if module is not output]
    norms = [module for module in between if _may_be_norm(module)]
    linears = [module for module in between if isinstance(module, nn.Linear)]
    if len(norms) > 1 or len(linears) > 1 or len(norms) + len(linears) < len(between):
        kinds = ", ".join(type(module).__name__ for module in between)
        raise UnsupportedModel(
            f"{type(model).__name__}: between its last layer and its output embedding are {kinds}; at most one norm "
            f"and one linear are understood"
        )
    return Unembedding(
        linear_norm(norms[0], model) if norms else None,
        weight_view(linears[0]) if linears else None,
        weight_view(cast(nn.Module, output)),
    )


@torch.no_grad()
def norms_of_outputs(model: PreTrainedModel) -> dict[int, LinearNorm]:
    """Layer -> the norm that the MLP's output goes through before it is added to the residual stream (Gemma 2 and 3);
    layers without one are left out."""
    found: dict[int, LinearNorm] = {}
    layers = decoder_layers(model)
    written: dict[int, Tensor] = {}
    handles = []
    for index, layer in enumerate(layers):
        handles.append(down_projection(layer).register_forward_hook(_keep(written, index)))
        for norm in filter(_may_be_norm, layer.modules()):

            def check(module: nn.Module, args: tuple[Tensor, ...], index: int = index) -> None:
                own = written.get(index)
                if (
                    own is not None
                    and args
                    and args[0].numel() == own.numel()
                    and torch.equal(args[0].reshape(-1), own.reshape(-1))
                ):
                    found[index] = linear_norm(module, model)

            handles.append(norm.register_forward_pre_hook(check))
    try:
        model(input_ids=_two_tokens(model), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return found


def linear_norm(norm: nn.Module, model: PreTrainedModel) -> LinearNorm:
    """Determine a norm's gain and whether it centres its input, from its outputs for opposite inputs. Raises
    UnsupportedModel for a norm that is not of the form gain * x / scale + bias."""
    weight = max(norm.parameters(recurse=False), key=lambda tensor: tensor.numel())
    width = weight.numel()
    high = (width + 1) // 2
    balanced = torch.ones(width, device=weight.device)  # with mean 0, so that centring does not change it
    balanced[high:] = -high / max(1, width - high)
    gain = _odd_part(norm, balanced, weight) * (balanced.square().mean().sqrt() / balanced)
    level = torch.ones(width, device=weight.device)
    centred = bool(_odd_part(norm, level, weight).norm() <= TOLERANCE * gain.norm())
    found = LinearNorm(gain, centred)
    probe = torch.randn(width, generator=torch.Generator().manual_seed(0)).to(weight.device)
    inside = probe - probe.mean() if centred else probe
    expected = found(probe[:, None])[:, 0] / inside.square().mean().sqrt()
    if not bool((_odd_part(norm, probe, weight) - expected).norm() <= TOLERANCE * expected.norm()):
        raise UnsupportedModel(
            f"{type(model).__name__}: its {type(norm).__name__} is neither an RMSNorm nor a LayerNorm, so the tokens "
            f"that neurons write cannot be computed"
        )
    return found


def _may_be_norm(module: nn.Module) -> bool:
    """Whether a module is a norm of a hidden state. Modules with matrices are not tested, which would take long."""
    return all(parameter.dim() == 1 for parameter in module.parameters(recurse=False)) and is_norm(module)


def _odd_part(norm: nn.Module, inputs: Float[Tensor, " width"], weight: Tensor) -> Float[Tensor, " width"]:
    """(norm(x) - norm(-x)) / 2 in float32, which has no bias. The input is large, so that a norm's epsilon does not
    count."""
    large = (100 * inputs).to(weight.dtype)[None, None]
    difference: Tensor = norm(large) - norm(-large)
    return (difference.float() / 2).reshape(-1)


def _called_after_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The modules with parameters of their own that are called after the last decoder layer, in order."""
    layers = decoder_layers(model)
    inside = {module for layer in layers for module in layer.modules()}
    called: list[nn.Module] = []

    def note(module: nn.Module, _args: object) -> None:
        if module not in called:
            called.append(module)

    outside = [
        module
        for module in model.modules()
        if module not in inside and any(True for _ in module.parameters(recurse=False))
    ]
    handles = [module.register_forward_pre_hook(note) for module in outside]
    handles.append(layers[-1].register_forward_hook(lambda *_: called.clear()))
    try:
        model(input_ids=_two_tokens(model), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return called


def _two_tokens(model: PreTrainedModel) -> Tensor:
    """A text [1, 2] of two ids other than padding."""
    padding = model.config.get_text_config(decoder=True).pad_token_id
    chosen = [token for token in range(3) if token != padding][:2]
    return torch.tensor([chosen], device=model.device)


def _keep(written: dict[int, Tensor], index: int) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(_module: nn.Module, _args: object, output: Tensor) -> None:
        written[index] = output

    return hook
