"""Access to a checkpoint's tensors by the model's names, with the names and dtypes in which they are stored.

A model computes and is pruned in one dtype, while a checkpoint may store some tensors in another (norms in float32
beside weights in float16) and under other names. A pruned model is written as the checkpoint with changed weights.
"""

from collections.abc import Mapping

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.checkpoint import Checkpoint, Entry
from prunescope.lm.weights import stored_names


class StoredTensors:
    """The tensors of a checkpoint; `names` maps names in the model's state dict to names in the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str]) -> None:
        self._entries, self._names = checkpoint.entries, names
        self._own = {name: own for own, name in names.items()}

    def name(self, own: str) -> str | None:
        """The checkpoint's name of a tensor in the model's state dict; None for a buffer that is not in the
        checkpoint."""
        return self._names.get(own)

    def own_name(self, name: str) -> str:
        """The model's name of a tensor in the checkpoint."""
        return self._own[name]

    def original(self, own: str) -> Tensor:
        """The tensor as it is stored, memory-mapped from its file."""
        entry = self._entries[self._names[own]]
        with safe_open(entry.file, framework="pt") as file:
            tensor: Tensor = file.get_tensor(entry.key)
        return tensor

    def stored_alike(self, own: str, pruned: Tensor) -> Tensor:
        """A pruned weight in its stored dtype. If the model's dtype is less precise, kept weights have the checkpoint's
        values."""
        original = self.original(own)
        if original.dtype == pruned.dtype:
            return pruned
        return torch.where(original.to(pruned.dtype) == pruned, original, pruned.to(original.dtype))

    def others(self, written: Mapping[str, Entry]) -> dict[str, Entry]:
        """Name -> entry of the checkpoint's tensors that are not in `written`."""
        return {name: entry for name, entry in self._entries.items() if name not in written}


def stored_tensors(model: PreTrainedModel, checkpoint: Checkpoint, layers: str) -> StoredTensors | None:
    """Map a model's tensors to its checkpoint's. None when a weight of its decoder layers (below `layers`) is not
    stored in the same form as in the model, so that it cannot be replaced in the checkpoint."""
    names = stored_names(model, checkpoint)
    inside = [name for name, _ in model.named_parameters(remove_duplicate=False) if name.startswith(f"{layers}.")]
    return StoredTensors(checkpoint, names) if all(name in names for name in inside) else None
