"""Lost-margin shares by the gradient: what each neuron's change costs the margin, to first order, in the pruned model.

    effect of neuron n on row r = sum over counted tokens of (a_dense - a_pruned) * d margin / d a_pruned      nats
    margin share of n           = sum over ranking rows of its effects / sum over them of the lost margin

One forward and one backward pass of each row give the effects of all neurons and heads of all layers. Products are in
float32, sums in float64. A first-order estimate need not add up to the lost margin; `accounting` does.

Two controls come from the same pass: `change`, the sum over tokens of |a_dense - a_pruned| times the norm of the
neuron's output weights, and `activation`, the same of |a_dense|.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import advice
from prunescope.lm.hooks import record_inputs
from prunescope.nsa.explain.gradients import backward, batch_tokens, requiring_gradients
from prunescope.nsa.explain.layout import Part
from prunescope.nsa.explain.running import Step, Subject
from prunescope.nsa.explain.sites import NEURONS, Place, Sites, output_norms
from prunescope.nsa.explain.spools import Recorded


@dataclass(frozen=True)
class Effects:
    """Weighted sums over rows. `by_kind` has for every kind of place [groups, layers, width], one group for each row of
    the weights; `change` and `activation` are [groups, layers, neurons]."""

    by_kind: dict[str, Float[np.ndarray, "groups layers width"]]
    change: Float[np.ndarray, "groups layers neurons"]
    activation: Float[np.ndarray, "groups layers neurons"]


def effects(
    subject: Subject,
    dense: Recorded,
    pruned: Recorded,
    weights: Float[np.ndarray, "groups rows"],
    step: Step,
) -> Effects:
    """The effects of all neurons and heads, summed over rows with each group's `weights` (one column for every row of
    the layout; rows whose weights are all zero are not run). `subject` is the pruned model.

    Raises NotFinite, naming row and layer, for a gradient that is not finite.
    """
    groups = len(weights)
    sites = subject.sites
    totals = {kind: np.zeros((groups, sites.layers, width)) for kind, width in sites.widths.items()}
    moved = np.zeros((2, groups, sites.layers, sites.widths[NEURONS]))
    rows = np.flatnonzero((weights != 0).any(0)).tolist()
    most, recompute = batch_tokens(subject, rows)
    done = 0
    factors = torch.from_numpy(weights.astype(np.float32)).to(subject.model.device)

    def receive(part: Part, gradients: dict[Place, Tensor]) -> None:
        device = subject.model.device
        at, of_row = (torch.from_numpy(array).to(device) for array in (part.at, part.owners))
        own = factors[:, of_row]
        for (kind, layer), gradient in gradients.items():
            before = dense.read(kind, layer, part.stored_at).to(device).float()
            fall = before - pruned.read(kind, layer, part.stored_at).to(device).float()
            product = fall * subject.flat(gradient)[at].float()
            sums = (own @ product).double().cpu().numpy()
            if not np.isfinite(sums).all():
                raise _not_finite(subject, part, kind, layer, product)
            totals[kind][:, layer] += sums
            if kind == NEURONS:
                moved[0, :, layer] += (own @ fall.abs()).double().cpu().numpy()
                moved[1, :, layer] += (own @ before.abs()).double().cpu().numpy()

    with requiring_gradients(subject.model):
        for batch in subject.layout.batches(rows, most):
            backward(subject, batch, watching(sites), receive, recompute=recompute)
            done += len(batch)
            step(done, len(rows))
    norms = output_norms(sites)
    return Effects(totals, moved[0] * norms, moved[1] * norms)


def watching(sites: Sites) -> Callable[[Part], AbstractContextManager[dict[Place, Tensor]]]:
    """The `around` of `gradients.backward` that takes the activations as they are."""

    @contextmanager
    def around(_part: Part) -> Iterator[dict[Place, Tensor]]:
        found: dict[Place, Tensor] = {}

        def receive(place: Place, values: Tensor) -> None:
            # A layer that runs again in the backward pass calls this again; the graph belongs to the first call.
            found.setdefault(place, values)

        with record_inputs(sites.modules, receive):
            yield found

    return around


def _not_finite(subject: Subject, part: Part, kind: str, layer: int, product: Tensor) -> NotFinite:
    """The error for the first token whose product is not finite."""
    bad = (~torch.isfinite(product)).any(1).nonzero()
    number = int(part.owners[int(bad[0, 0])]) if len(bad) else part.placed[0].row
    row = subject.layout.rows[number]
    return NotFinite(
        f"row {row.index}, layer {layer}: the gradient of its margin is not finite at the {kind} of {subject.name}; "
        f"{advice(subject.model)}"
    )


@dataclass(frozen=True)
class Parts:
    """The prior and the content of each neuron's effect, in nats a row: [layers, neurons]."""

    prior: Float[np.ndarray, "layers neurons"]
    content: Float[np.ndarray, "layers neurons"]


def prior_and_content(by_label: Float[np.ndarray, "labels layers neurons"], fallen: int) -> Parts:
    """Split the mean effects over the rows of each label. `by_label` are the effects on the margin of the right label,
    as means over the rows with that label, so that labels count alike; `fallen` is the label towards which `prior` is
    positive.

    content = mean over labels      what is left when the mean shift of each label is removed
    prior = effect on the rows of `fallen` - content      a shift towards one label raises the margin of its rows and
                                                          lowers that of the others; with two labels, half their
                                                          difference
    """
    content = by_label.mean(0)
    return Parts(by_label[fallen] - content, content)
