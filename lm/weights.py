"""Loads a checkpoint's tensors into a model. Tensors that are missing or do not fit raise an error that names them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from prunescope.lm.architecture import layers_path
from prunescope.lm.checkpoint import Checkpoint, Entry, named
from prunescope.lm.errors import BadInput, UnsupportedModel

PACKED = (".qweight", ".qzeros", ".g_idx", ".weight_packed", ".weight_scale", ".absmax", ".quant_map", ".SCB")
"""Name suffixes of packed (quantised) tensors, for models whose config does not mention the quantisation."""


def load_weights(
    checkpoint: Checkpoint,
    config: PretrainedConfig,
    dtype: torch.dtype,
    reference: str,
    generation: GenerationConfig | None = None,
) -> PreTrainedModel:
    """Return the config's model with the checkpoint's tensors, in `dtype` on the CPU. `generation` is its generation
    config (None: derived from the model's config).

    Tensors that are stored in `dtype` are memory-mapped from the files; others are converted in memory. Raises
    UnsupportedModel, listing the tensors, when some are missing, have another shape, or belong to the decoder layers
    but not to the model.
    """
    packed = [name for name in checkpoint.entries if name.endswith(PACKED)]
    if packed:
        raise UnsupportedModel(
            f"{reference} is quantised: it holds {len(packed)} packed tensors ({named(packed)}), which cannot be "
            f"pruned; give the model before quantisation"
        )
    try:
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        _check_shapes(empty, checkpoint, reference)
        with ExitStack() as opened:
            loaded: Any = type(empty).from_pretrained(
                None,
                config=empty.config,
                state_dict=_slices(checkpoint, opened),
                dtype=dtype,
                generation_config=generation,
                local_files_only=True,
                output_loading_info=True,
            )
    except BadInput:
        raise
    except Exception as error:  # transformers and model code raise various types for an invalid config
        raise UnsupportedModel(f"{reference}: cannot be loaded: {first_line(error)}") from error
    _check_names(loaded[0], checkpoint, loaded[1], reference)
    model: PreTrainedModel = loaded[0]
    return model


def stored_names(model: PreTrainedModel, checkpoint: Checkpoint) -> dict[str, str]:
    """Return name in the model's state dict -> name in the checkpoint, for all tensors that the model uses unchanged.

    Tensors that transformers merges from several stored tensors, or reshapes, are not included.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name, own, whole in _renamed(model, checkpoint):
        if whole and own not in taken:
            found[own] = name
        else:
            found.pop(own, None)
        taken.add(own)
    return found


def _renamed(model: PreTrainedModel, checkpoint: Checkpoint) -> Iterator[tuple[str, str, bool]]:
    """Yield (name in the checkpoint, name in the model's state dict, whether it is used unchanged) for all tensors that
    belong to the model, renamed in the same way as transformers does."""
    state = model.state_dict()
    transforms = get_model_conversion_mapping(model)
    renamings = [transform for transform in transforms if isinstance(transform, WeightRenaming)]
    converters = [transform for transform in transforms if isinstance(transform, WeightConverter)]
    # In the order of transformers, because some renamings depend on earlier ones.
    for name in sorted(checkpoint.entries, key=dot_natural_key):
        own, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        if own not in state and name in state:
            own, pattern = rename_source_key(name, [], [], model.base_model_prefix, state)
        if own in state:
            yield name, own, pattern is None


def _check_shapes(empty: PreTrainedModel, checkpoint: Checkpoint, reference: str) -> None:
    """Raise UnsupportedModel when shapes in the checkpoint differ from the config's. This is checked before memory for
    a model of the config's size is allocated."""
    state = empty.state_dict()
    wrong = [
        f"{name} is {list(checkpoint.entries[name].shape)}, not {list(state[own].shape)}"
        for name, own, whole in _renamed(empty, checkpoint)
        if whole and checkpoint.entries[name].shape != tuple(state[own].shape)
    ]
    if wrong:
        raise UnsupportedModel(
            f"{reference}: {len(wrong)} tensors do not fit its config.json: {named(wrong)}; give a checkpoint and a "
            f"config that belong together"
        )


def first_line(error: BaseException) -> str:
    """Return an exception's first line, and the second if the first ends in a colon. The type is prepended when the
    message is empty or only a key."""
    said = str(error).strip()
    if not said or isinstance(error, KeyError):
        return f"{type(error).__name__} {said}".strip().splitlines()[0]
    first, *rest = (line.strip() for line in said.splitlines())
    return f"{first} {rest[0]}" if rest and first.endswith(":") else first


def _slices(checkpoint: Checkpoint, opened: ExitStack) -> dict[str, Any]:
    """Return name -> tensor slice that is read on demand, valid until `opened` is closed."""
    files = {file: opened.enter_context(safe_open(file, framework="pt")) for file in checkpoint.files}
    return {name: files[entry.file].get_slice(entry.key) for name, entry in checkpoint.entries.items()}


def _check_names(model: PreTrainedModel, checkpoint: Checkpoint, loading: Mapping[str, Any], reference: str) -> None:
    """Raise UnsupportedModel when tensors of the model are missing, or when tensors of the decoder layers would be
    ignored."""
    kind = type(model).__name__
    if missing := loading["missing_keys"]:
        # transformers would initialise them randomly
        unexpected = loading["unexpected_keys"]
        held = f"it has no place for {len(unexpected)}, {named(unexpected)}; " if unexpected else ""
        raise UnsupportedModel(
            f"{reference}: the checkpoint lacks {len(missing)} tensors of {kind}: {named(missing)}; {held}give a "
            f"checkpoint that fits its config.json, or save it again"
        )
    if ignored := _ignored(model, checkpoint, loading["unexpected_keys"]):
        raise UnsupportedModel(
            f"{reference}: {kind} has no place for {len(ignored)} tensors of its decoder layers: {named(ignored)}; it "
            f"would compute without them; give a config.json that fits the checkpoint"
        )


def _ignored(model: PreTrainedModel, checkpoint: Checkpoint, unexpected: Iterable[str]) -> list[str]:
    """Return the names of decoder layers' tensors that transformers ignores: biases that the config does not have,
    layers beyond the last. Masks, frequencies and scales of older checkpoints are not included."""
    try:
        path = layers_path(model) + "."
    except UnsupportedModel:
        return []  # reported later, when the layers are needed
    entries = checkpoint.entries
    short = path.split(".", 1)[-1]  # without the base model's prefix

    def is_weight(name: str) -> bool:
        entry: Entry | None = entries.get(name) or entries.get(name.removeprefix(f"{model.base_model_prefix}."))
        if not name.startswith((path, short)) or name.endswith((".inv_freq", ".masked_bias")):
            return False
        return entry is None or ("F" in entry.dtype and len(entry.shape) in (1, 2, 3) and entry.shape != (1,))

    return [name for name in unexpected if is_weight(name)]
