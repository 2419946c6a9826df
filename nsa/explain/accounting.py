"""Integrated gradients from the pruned to the dense activations: shares that add up to what patching restores.

    F(a)          margin of the pruned model when all MLP activations (or heads, or both) at the counted tokens are a
    share of n    integral over t from 0 to 1 of (a_dense - a_pruned)_n * dF/da_n at a_pruned + t (a_dense - a_pruned)

All layers move together, so the shares add up to F(a_dense) - F(a_pruned), the patched restoration, up to the error of
the midpoint rule (Sundararajan et al., arXiv 1703.01365). One step is one forward and one backward pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import advice
from prunescope.lm.hooks import change_inputs
from prunescope.nsa.explain.gradients import backward, batch_tokens
from prunescope.nsa.explain.layout import Part
from prunescope.nsa.explain.running import Step, Subject
from prunescope.nsa.explain.sites import Place
from prunescope.nsa.explain.spools import Recorded


def integrated(
    subject: Subject,
    dense: Recorded,
    pruned: Recorded,
    kinds: Sequence[str],
    rows: Sequence[int],
    steps: int,
    step: Step,
) -> dict[str, Float[np.ndarray, "layers width"]]:
    """The integrated shares of all places of some kinds, which move together, summed over rows (nats): kind -> [layers,
    width]. `subject` is the pruned model. Raises NotFinite for shares that are not finite."""
    sites, device = subject.sites, subject.model.device
    totals = {kind: np.zeros((sites.layers, sites.widths[kind])) for kind in kinds}
    modules = {place: module for place, module in sites.modules.items() if place[0] in kinds}
    most, recompute = batch_tokens(subject, rows)
    done = 0

    @contextmanager
    def moved(part: Part, share: float) -> Iterator[dict[Place, Tensor]]:
        at = torch.from_numpy(part.at).to(device)
        leaves: dict[Place, Tensor] = {}

        def change(place: Place, values: Tensor) -> Tensor:
            if place not in leaves:  # a layer that runs again in the backward pass uses the same leaf
                begin = pruned.read(*place, part.stored_at).to(device).float()
                end = dense.read(*place, part.stored_at).to(device).float()
                leaves[place] = (begin + share * (end - begin)).to(values.dtype).requires_grad_()
            return subject.flat(values).index_copy(0, at, leaves[place]).reshape(values.shape)

        with change_inputs(modules, change):
            yield leaves

    def receive(part: Part, gradients: dict[Place, Tensor]) -> None:
        for (kind, layer), gradient in gradients.items():
            before = dense.read(kind, layer, part.stored_at).to(device).float()
            fall = before - pruned.read(kind, layer, part.stored_at).to(device).float()
            totals[kind][layer] += (fall * gradient.float()).sum(0).double().cpu().numpy() / steps

    for batch in subject.layout.batches(rows, most):
        for number in range(steps):
            backward(subject, batch, partial(moved, share=(number + 0.5) / steps), receive, recompute=recompute)
        done += len(batch)
        step(done, len(rows))
    if not all(np.isfinite(total).all() for total in totals.values()):
        raise NotFinite(f"{subject.name}: integrated gradients are not finite; {advice(subject.model)}")
    return totals
