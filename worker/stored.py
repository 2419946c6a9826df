"""Tensors as the checkpoint has them: by its names, in the types they are stored in there.

A model computes and is pruned in one type; a checkpoint may keep some tensors in another (norms in float32 beside
weights in float16), and calls them by names of its own. What is written is the checkpoint with other weights in it.
"""

from collections.abc import Mapping

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.checkpoint import Checkpoint, Entry
from prunescope.lm.weights import stored_names


class StoredTensors:
    """The tensors of a checkpoint and, by `names`, what they are called in the model's state."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str]) -> None:
        self._entries, self._names = checkpoint.entries, names
        self._own = {name: own for own, name in names.items()}

    def name(self, own: str) -> str | None:
        """What the checkpoint calls a tensor of the model's state; None for a buffer that is not in it."""
        return self._names.get(own)

    def own_name(self, name: str) -> str:
        """What the model calls a tensor of the checkpoint."""
        return self._own[name]

    def original(self, own: str) -> Tensor:
        """The tensor as it is stored, mapped from its file."""
        entry = self._entries[self._names[own]]
        with safe_open(entry.file, framework="pt") as file:
            tensor: Tensor = file.get_tensor(entry.key)
        return tensor

    def stored_alike(self, own: str, pruned: Tensor) -> Tensor:
        """A pruned weight in the type that it is stored in. Where the model's type has fewer digits, weights that stay
        keep those of the checkpoint."""
        original = self.original(own)
        if original.dtype == pruned.dtype:
            return pruned
        return torch.where(original.to(pruned.dtype) == pruned, original, pruned.to(original.dtype))

    def others(self, written: Mapping[str, Entry]) -> dict[str, Entry]:
        """Name -> entry of the tensors that are not among those written."""
        return {name: entry for name, entry in self._entries.items() if name not in written}


def stored_tensors(model: PreTrainedModel, checkpoint: Checkpoint, layers: str) -> StoredTensors | None:
    """The checkpoint behind a model; None where a weight of its decoder layers (below `layers`) is not stored as it is
    in the model, so that it cannot be written in its place."""
    names = stored_names(model, checkpoint)
    inside = [name for name, _ in model.named_parameters(remove_duplicate=False) if name.startswith(f"{layers}.")]
    return StoredTensors(checkpoint, names) if all(name in names for name in inside) else None
