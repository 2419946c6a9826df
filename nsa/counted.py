"""Finds the counted tokens of every forward pass, for interventions that must leave out the other ones.

Not counted are position 0 of every row, attention sinks (nsa/sinks.py) and special tokens, as in the rest of an
attribution. Rows are padded on the right, and texts that share a row share its position 0 (prefix sharing), so position
0 of a row is that of its texts.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.hooks import record_inputs
from prunescope.nsa.sinks import massive


class CountedTokens:
    """The mask of the counted tokens of the forward pass that the model is in.

    Sinks are found in the model without an intervention: the first time that it is called with some tokens, it is run
    once more before. The mask is then kept, so that all conditions of a comparison have the same.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        special: Collection[int],
        *,
        count_special: bool = False,
        count_sinks: bool = False,
    ) -> None:
        """`special`: ids of the special tokens. `count_special`, `count_sinks`: whether special tokens, or position 0
        and sinks, are counted as any other token."""
        self._model, self._count_sinks = model, count_sinks
        self._special = torch.tensor(sorted(() if count_special else special), dtype=torch.long, device=model.device)
        self._known: dict[tuple[bytes, ...], Bool[Tensor, "rows tokens"]] = {}
        self._mask: Bool[Tensor, "rows tokens"] | None = None
        self._finding = False

    @property
    def mask(self) -> Bool[Tensor, "rows tokens"] | None:
        """The mask of the current pass; None while sinks are being found, when nothing may be changed."""
        return self._mask

    @contextmanager
    def following(self) -> Iterator[None]:
        """Inside the block, `mask` belongs to the forward pass that the model is in."""
        handle = self._model.register_forward_pre_hook(self._begin, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _begin(self, _model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._finding:
            return
        ids = cast(Tensor, kwargs["input_ids"] if kwargs.get("input_ids") is not None else args[0])
        # The same tokens with other position ids are other texts that share a row.
        given = [ids] if kwargs.get("position_ids") is None else [ids, kwargs["position_ids"]]
        key = tuple(part.cpu().numpy().tobytes() for part in (torch.tensor(ids.shape), *given))
        if key not in self._known:
            self._known[key] = self._found(ids, args, kwargs)
        self._mask = self._known[key]

    def _found(self, ids: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bool[Tensor, "rows tokens"]:
        mask = ~torch.isin(ids, self._special)
        if self._count_sinks:
            return mask
        mask[:, 0] = False

        def see(_layer: int, hidden: Tensor) -> None:
            for row, states in enumerate(hidden.reshape(*ids.shape, -1)):
                mask[row] &= ~massive(states)

        self._mask, self._finding = None, True
        try:
            with record_inputs(dict(enumerate(list(decoder_layers(self._model))[1:], start=1)), see):
                self._model(*args, **kwargs)
        finally:
            self._finding = False
        return mask
