"""Maps a model's tensors to the tensors of its checkpoint, whose names and dtypes may differ.

A model computes and is pruned in one dtype, while its checkpoint may store some tensors in another dtype (norms in
float32, weights in float16) and under other names. A pruned model is written with the checkpoint's names and dtypes.
"""

from collections.abc import Mapping

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.checkpoint import Checkpoint, Entry
from prunescope.lm.weights import stored_names


class StoredTensors:
    """The tensors of a checkpoint. `names` maps names in the model's state dict to names in the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str]) -> None:
        self._entries, self._names = checkpoint.entries, names
        self._own = {name: own for own, name in names.items()}

    def name(self, own: str) -> str | None:
        """The name in the checkpoint of the tensor that is called `own` in the model's state dict; None for a buffer
        that the checkpoint does not have."""
        return self._names.get(own)

    def own_name(self, name: str) -> str:
        """The name in the model's state dict of the tensor that is called `name` in the checkpoint."""
        return self._own[name]

    def original(self, own: str) -> Tensor:
        """The checkpoint's tensor for the model's name `own`, memory-mapped, in its stored dtype."""
        entry = self._entries[self._names[own]]
        with safe_open(entry.file, framework="pt") as file:
            tensor: Tensor = file.get_tensor(entry.key)
        return tensor

    def in_stored_dtype(self, own: str, pruned: Tensor) -> Tensor:
        """Convert a pruned weight to the dtype of the checkpoint's tensor. Where the weight equals the checkpoint's
        value in the model's dtype, the result is the checkpoint's value, so that unchanged weights lose no
        precision."""
        original = self.original(own)
        if original.dtype == pruned.dtype:
            return pruned
        return torch.where(original.to(pruned.dtype) == pruned, original, pruned.to(original.dtype))

    def others(self, written: Mapping[str, Entry]) -> dict[str, Entry]:
        """Tensor name -> entry of the checkpoint's tensors whose names are not in `written`."""
        return {name: entry for name, entry in self._entries.items() if name not in written}


def stored_tensors(model: PreTrainedModel, checkpoint: Checkpoint, layers: str) -> StoredTensors | None:
    """Map a model's tensors to the tensors of its checkpoint. `layers` is the name of the module with the decoder
    layers. None if a weight in the decoder layers is stored in another form (fused, transposed), so that it cannot be
    replaced in the checkpoint."""
    names = stored_names(model, checkpoint)
    inside = [name for name, _ in model.named_parameters(remove_duplicate=False) if name.startswith(f"{layers}.")]
    return StoredTensors(checkpoint, names) if all(name in names for name in inside) else None
