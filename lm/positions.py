"""How long a text a model reads, and the lengths at which it begins to read all of it in another way.

Configs have many names for the longest text. What they say is held against the position tables, and on a CPU tried once
up to the first decoder layer, which no weight of a layer is read for.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

DEFAULT_CONTEXT = 2048
"""Tokens, for the few architectures without a longest position (ALiBi, recurrences)."""

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
"""What configs call the longest text, in tokens."""

MAX_TRIED = 8192
"""Tokens; a longer context is believed: position tables of that size are not made, and a mask of it would be large."""

_found: "WeakKeyDictionary[nn.Module, tuple[int, int]]" = WeakKeyDictionary()
"""What configs said of models, and what was found."""


class _Reached(Exception):
    """The first decoder layer was called: all before it took the length."""


def longest_text(model: nn.Module, config: PretrainedConfig, layers: Sequence[nn.Module]) -> int:
    """The longest text that the model reads, in tokens; found once for each model.

    The number of its config, or less: what its learned position tables have rows for, and what a pass up to `layers`
    takes (on a CPU: an index beyond a table ends a process on a GPU). Of a module around a model, which only passes
    calls on, it is what the config says.
    """
    claimed = _claimed(config)
    if not isinstance(model, PreTrainedModel):
        return claimed
    known = _found.get(model)
    if known is None or known[0] != claimed:
        fitting = min([claimed, *(rows for rows in _position_rows(model) if rows > 0)])
        tried = _tried(model, fitting, layers) if layers and model.device.type == "cpu" else fitting
        known = _found[model] = claimed, tried
    return known[1]


def length_switches(model: PreTrainedModel) -> tuple[int, ...]:
    """The lengths beyond which the model reads every token of a text in another way, ascending; mostly none.

    A longrope (Phi-3) turns all of a pass by its long factors as soon as one position of it is beyond the original
    context: a text's numbers are its own only beside texts on the same side.
    """
    config = model.config.get_text_config(decoder=True)
    found = set()
    for rope in _ropes(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)):
        if (rope.get("rope_type") or rope.get("type")) in ("longrope", "su"):
            original = rope.get("original_max_position_embeddings")
            found.add(original or getattr(config, "original_max_position_embeddings", None))
    return tuple(sorted(int(length) for length in found if isinstance(length, int | float)))


def side(switches: Sequence[int], length: int) -> int:
    """How many of the switches a text of this length is beyond; texts of one side may share a pass."""
    return sum(length > switch for switch in switches)


def _ropes(parameters: object) -> list[Mapping[str, Any]]:
    """The parameters of the rotary embedding, or of one for each kind of layer."""
    if not isinstance(parameters, Mapping):
        return []
    inner = [value for value in parameters.values() if isinstance(value, Mapping)]
    return inner or [parameters]


def _claimed(config: PretrainedConfig) -> int:
    for name in CONTEXT_NAMES:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return DEFAULT_CONTEXT


def _position_rows(model: PreTrainedModel) -> list[int]:
    """How many positions each learned table beside the tokens' embedding has (another part's, one for pictures, does
    not count); RoBERTa's counts from the row after its padding."""
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


def _tried(model: PreTrainedModel, longest: int, layers: Sequence[nn.Module]) -> int:
    """`longest` where a text of it goes up to the first layer, else the longest that does."""
    if longest > MAX_TRIED or _goes(model, longest, layers) or not _goes(model, 1, layers):
        return longest  # a model that fails with a single token fails for another reason, which is said elsewhere
    short, long = 1, longest
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (middle, long) if _goes(model, middle, layers) else (short, middle)
    return short


@torch.no_grad()
def _goes(model: PreTrainedModel, length: int, layers: Sequence[nn.Module]) -> bool:
    def stop(*_: object) -> None:
        raise _Reached

    handles = [layer.register_forward_pre_hook(stop) for layer in layers]
    try:
        model.base_model(input_ids=_ids(model, length), use_cache=False)
    except _Reached:
        return True
    except Exception:  # each model's own code says in its own way that it has no such position
        return False
    finally:
        for handle in handles:
            handle.remove()
    return True


def _ids(model: PreTrainedModel, length: int) -> torch.Tensor:
    """A text of one token, which is not the padding: some models count no position for that."""
    padding = model.config.get_text_config(decoder=True).pad_token_id
    return torch.full((1, length), 1 if padding == 0 else 0, device=model.device)
