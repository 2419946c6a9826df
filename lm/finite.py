"""Error messages for models that compute NaN or infinity: the module where it first occurs, the cause, and how to avoid
it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import layers_path
from prunescope.lm.errors import NotFinite, UnsupportedModel

FLOAT32 = "compute in float32 (--dtype float32)"


class _FirstNotFinite(Exception):
    """Raised inside a forward pass at the first module whose output is not finite; its message says where."""


def not_finite(place: str, model: PreTrainedModel, ids: Tensor, name: str | None = None, *, of: str = "") -> NotFinite:
    """Return (not raise) a NotFinite error for a text `ids` [tokens] on which a model computed NaN or infinity.

    `place` says what was computed (task and row; text and word; window). `of` narrows it ("for choice 'yes'"). `name`
    is the model's name in the message (default: its class). The text goes through the model once more to find the first
    module with a non-finite output.
    """
    called = name or type(model).__name__
    return NotFinite(
        f"{place}: {called} gives no finite number{f' {of}' * bool(of)}, {_first_place(model, ids)}; {advice(model)}"
    )


def is_narrow(model: PreTrainedModel) -> bool:
    """Return whether the model computes in a 16-bit dtype, so that float32 may avoid non-finite numbers."""
    return model.dtype in (torch.float16, torch.bfloat16)


def advice(model: PreTrainedModel) -> str:
    """Return the end of the error message: whether the weights are finite, and how to avoid the error. float32 is
    suggested only if the model does not compute in it already."""
    damaged = next((name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())), None)
    kind = str(model.dtype).removeprefix("torch.")
    weights = f"its weight {damaged} holds NaN or infinity" if damaged else "its weights are finite"
    if is_narrow(model):
        return f"{weights} in {kind}: {FLOAT32}"
    if damaged:
        return f"{weights}: the checkpoint is damaged, take another copy of it"
    return f"{weights}, but its numbers grow beyond what {kind} holds"


@torch.no_grad()
def _first_place(model: PreTrainedModel, ids: Tensor) -> str:
    """Describe the first module in a forward pass whose output is not finite."""
    handles = [module.register_forward_hook(_output_check(where)) for where, module in _checked_modules(model).items()]
    try:
        model(input_ids=ids[None].to(model.device), use_cache=False)
    except _FirstNotFinite as found:
        return str(found)
    finally:
        for handle in handles:
            handle.remove()
    return "not finite first in its logits"


def _output_check(where: str) -> Any:
    """Return a forward hook that raises `_FirstNotFinite(where)` when the module's output is not finite."""

    def check(_module: nn.Module, _args: object, output: object) -> None:
        hidden = output[0] if isinstance(output, tuple | list) else output
        if isinstance(hidden, Tensor) and hidden.is_floating_point() and not bool(hidden.isfinite().all()):
            raise _FirstNotFinite(where)

    return check


def _checked_modules(model: PreTrainedModel) -> Mapping[str, nn.Module]:
    """Return the embedding and, if they are found, the decoder layers, with the message's words for each as key."""
    places = {"not finite from its embedding on": model.get_input_embeddings()}
    try:
        layers = model.get_submodule(layers_path(model))
    except UnsupportedModel:
        return places
    return places | {f"not finite from layer {index} on": layer for index, layer in enumerate(layers.children())}
