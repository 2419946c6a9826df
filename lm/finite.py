"""Error messages for models that compute NaN or infinity: the module where it first occurs, the cause, and what
helps."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import layers_path
from prunescope.lm.errors import NotFinite, UnsupportedModel

FLOAT32 = "compute in float32 (--dtype float32)"


class _Found(Exception):
    """Raised inside a forward pass at the first module whose output is not finite; its text names the module."""


def not_finite(place: str, model: PreTrainedModel, ids: Tensor, name: str | None = None, *, of: str = "") -> NotFinite:
    """Make the NotFinite error for a text `ids` [tokens] on which a model computed NaN or infinity; the caller raises
    it.

    `place` says what was computed (task and row; text and word; window), `of` narrows it ("for choice 'yes'"), and
    `name` is the model's name in the message. The text goes through the model once more to find the first module with a
    non-finite output.
    """
    called = name or type(model).__name__
    return NotFinite(
        f"{place}: {called} gives no finite number{f' {of}' * bool(of)}, {_first_place(model, ids)}; {advice(model)}"
    )


def is_narrow(model: PreTrainedModel) -> bool:
    """Whether the model computes in a 16-bit dtype, so that float32 may help."""
    return model.dtype in (torch.float16, torch.bfloat16)


def advice(model: PreTrainedModel) -> str:
    """Advice about non-finite numbers: whether the weights are finite, and what helps. It suggests float32 only when
    that is not in use already."""
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
    handles = [module.register_forward_hook(_look(where)) for where, module in _places(model).items()]
    try:
        model(input_ids=ids[None].to(model.device), use_cache=False)
    except _Found as found:
        return str(found)
    finally:
        for handle in handles:
            handle.remove()
    return "not finite first in its logits"


def _look(where: str) -> Any:
    def look(_module: nn.Module, _args: object, output: object) -> None:
        hidden = output[0] if isinstance(output, tuple | list) else output
        if isinstance(hidden, Tensor) and hidden.is_floating_point() and not bool(hidden.isfinite().all()):
            raise _Found(where)

    return look


def _places(model: PreTrainedModel) -> Mapping[str, nn.Module]:
    places = {"not finite from its embedding on": model.get_input_embeddings()}
    try:
        layers = model.get_submodule(layers_path(model))
    except UnsupportedModel:
        return places
    return places | {f"not finite from layer {index} on": layer for index, layer in enumerate(layers.children())}
