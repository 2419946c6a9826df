"""Determines a model's context length, and the text lengths at which its position encoding changes.

The context length has many names in configs. The config's value is compared with the sizes of the position tables and,
on a CPU, tested once by a pass up to the first decoder layer, which reads no layer weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

DEFAULT_CONTEXT = 2048
"""Context length in tokens for the few architectures without a longest position (ALiBi, recurrences)."""

CONTEXT_NAMES = (
    "max_position_embeddings",
    "max_sequence_length",
    "max_seq_len",
    "max_seq_length",
    "n_positions",
    "n_ctx",
    "seq_length",
    "context_length",
    "max_target_positions",
)
"""Config fields that hold the context length in tokens."""

MAX_TRIED = 8192
"""Longest text in tokens that is tested. A greater context length is not tested, because position tables are not that
large and the attention mask would be."""

_contexts: "WeakKeyDictionary[nn.Module, tuple[int, int]]" = WeakKeyDictionary()
"""Cache: model -> (the config's context length, the determined context length)."""


class _Reached(Exception):
    """Raised when the first decoder layer is called, which shows that the modules before it accept the text's
    length."""


def longest_text(model: nn.Module, config: PretrainedConfig, layers: Sequence[nn.Module]) -> int:
    """Return the model's context length in tokens; it is determined once for each model.

    This is the config's value, or less if the learned position tables have fewer rows or if a pass up to `layers` fails
    at that length. The pass is only run on a CPU, because on a GPU an index beyond a table kills the process. For a
    wrapper module around a model, only the config's value is used.
    """
    configured = _config_length(config)
    if not isinstance(model, PreTrainedModel):
        return configured
    known = _contexts.get(model)
    if known is None or known[0] != configured:
        fitting = min([configured, *(rows for rows in _position_rows(model) if rows > 0)])
        accepted = _longest_accepted(model, fitting, layers) if layers and model.device.type == "cpu" else fitting
        known = _contexts[model] = configured, accepted
    return known[1]


def length_switches(model: PreTrainedModel) -> tuple[int, ...]:
    """Return the text lengths, ascending, beyond which the model encodes the positions of all tokens differently; empty
    for most models.

    longrope (Phi-3) uses its long factors for a whole forward pass as soon as one position in it is beyond the original
    context. So a text gets the same outputs in a batch as alone only if all texts of the batch are on the same side of
    each switch.
    """
    config = model.config.get_text_config(decoder=True)
    found = set()
    for rope in _ropes(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)):
        if (rope.get("rope_type") or rope.get("type")) in ("longrope", "su"):
            original = rope.get("original_max_position_embeddings")
            found.add(original or getattr(config, "original_max_position_embeddings", None))
    return tuple(sorted(int(length) for length in found if isinstance(length, int | float)))


def side(switches: Sequence[int], length: int) -> int:
    """Return the number of switches that a text of this length exceeds; texts with the same number may be in one
    batch."""
    return sum(length > switch for switch in switches)


def _ropes(parameters: object) -> list[Mapping[str, Any]]:
    """Return the rotary embedding's parameter sets: one, or one for each kind of layer."""
    if not isinstance(parameters, Mapping):
        return []
    inner = [value for value in parameters.values() if isinstance(value, Mapping)]
    return inner or [parameters]


def _config_length(config: PretrainedConfig) -> int:
    """Return the config's context length in tokens, or DEFAULT_CONTEXT if it has none."""
    for name in CONTEXT_NAMES:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return DEFAULT_CONTEXT


def _position_rows(model: PreTrainedModel) -> list[int]:
    """Return the number of positions in each learned position table next to the token embedding. Tables of other parts
    (image encoders) are excluded, and the rows up to a table's padding row (RoBERTa) are subtracted."""
    tables = {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    tokens = model.get_input_embeddings()
    beside = next((name.rpartition(".")[0] for name, table in tables.items() if table is tokens), "")
    return [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
        for name, table in tables.items()
        if name.startswith(f"{beside}." if beside else "") and _is_positions(name.rpartition(".")[2])
    ]


def _is_positions(name: str) -> bool:
    return name in ("wpe", "embed_positions", "position_embeddings", "position_embedding", "positions_embed")


def _longest_accepted(model: PreTrainedModel, longest: int, layers: Sequence[nn.Module]) -> int:
    """Return `longest` if a text of that length reaches the first layer, else the greatest length that does."""
    if longest > MAX_TRIED or _accepts(model, longest, layers) or not _accepts(model, 1, layers):
        return longest  # a model that fails with a single token fails for another reason, which is reported elsewhere
    short, long = 1, longest
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (middle, long) if _accepts(model, middle, layers) else (short, middle)
    return short


@torch.no_grad()
def _accepts(model: PreTrainedModel, length: int, layers: Sequence[nn.Module]) -> bool:
    """Return whether a text of this length reaches the first layer without an exception."""

    def stop(*_: object) -> None:
        raise _Reached

    handles = [layer.register_forward_pre_hook(stop) for layer in layers]
    try:
        model.base_model(input_ids=_ids(model, length), use_cache=False)
    except _Reached:
        return True
    except Exception:  # models raise various types for a position that they do not have
        return False
    finally:
        for handle in handles:
            handle.remove()
    return True


def _ids(model: PreTrainedModel, length: int) -> torch.Tensor:
    """Return a text [1, length] that repeats one token other than padding, because some models give padding tokens no
    position."""
    padding = model.config.get_text_config(decoder=True).pad_token_id
    return torch.full((1, length), 1 if padding == 0 else 0, device=model.device)
