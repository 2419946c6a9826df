"""The tokens that a neuron writes: those whose logits its output weights raise or lower most, by the direct path.

The output weights of a neuron (its column of the down-projection) are multiplied by the final norm's gain and, for a
LayerNorm, centred over the hidden features; then by the output embedding (Geva et al., arXiv 2203.14680; the "logit
lens"). The norm's division by the scale of the residual stream is left out: it is one positive number for all tokens,
so it does not change their order. What later layers do with the neuron's output is not part of it. The order is that
of a positive activation; for a negative one, up and down change places.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.lm.unembedding import LinearNorm, Unembedding, norms_of_outputs, read_unembedding

WRITTEN = 20
"""Number of tokens kept for each neuron and direction."""
MAX_LOGITS = 1 << 24
"""Maximum number of logits computed at once; 64 MiB."""


@dataclass(frozen=True)
class Written:
    """The tokens that neurons write, the most raised (`up`) or lowered (`down`) first; ties by id. Values are the
    change of a logit for an activation of 1 in a residual stream of scale 1."""

    up: Int[np.ndarray, "neurons tokens"]
    up_values: Float[np.ndarray, "neurons tokens"]
    down: Int[np.ndarray, "neurons tokens"]
    down_values: Float[np.ndarray, "neurons tokens"]


class Writer:
    """Computes the tokens that the neurons of a model write. `known` [vocabulary]: which rows of the output embedding
    have a token; rows that pad the vocabulary are left out. Raises UnsupportedModel as `read_unembedding` does."""

    def __init__(self, model: PreTrainedModel, known: Bool[np.ndarray, " vocabulary"]) -> None:
        self._layers = decoder_layers(model)
        self._unembedding: Unembedding = read_unembedding(model)
        self._norms: dict[int, LinearNorm] = norms_of_outputs(model)
        rows = len(self._unembedding.embedding)
        self._ids = torch.from_numpy(np.flatnonzero(known[:rows])).to(self._unembedding.embedding.device)
        self._embedding = self._unembedding.embedding[self._ids].float()

    @torch.no_grad()
    def layer(self, layer: int, tokens: int = WRITTEN) -> Written:
        """The `tokens` most raised and most lowered tokens of every neuron of a layer."""
        columns = weight_view(down_projection(self._layers[layer])).float()
        if layer in self._norms:
            columns = self._norms[layer](columns)
        directions = self._unembedding.before_embedding(columns).T
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for piece in directions.split(self._at_once):
            logits = piece @ self._embedding.T
            parts.append((*largest(logits, tokens), *largest(-logits, tokens)))
        up, up_values, down, down_values = (torch.cat([each[index] for each in parts]) for index in range(4))
        return Written(
            self._ids[up].to(torch.int32).cpu().numpy(),
            up_values.cpu().numpy(),
            self._ids[down].to(torch.int32).cpu().numpy(),
            -down_values.cpu().numpy(),
        )

    @property
    def _at_once(self) -> int:
        return max(1, MAX_LOGITS // max(1, len(self._ids)))


def largest(logits: Float[Tensor, "neurons vocabulary"], most: int) -> tuple[Tensor, Tensor]:
    """(columns of the `most` largest logits of each row, their values), the largest first; equal ones by column."""
    columns = logits.topk(min(most, logits.shape[1])).indices.sort(dim=1).values
    values, order = torch.sort(logits.gather(1, columns), dim=1, descending=True, stable=True)
    return columns.gather(1, order), values
