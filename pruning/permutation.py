"""Column permutations with which an n:m pattern keeps more of the total score (RIA, arXiv 2402.05406, section 3.3).

Weights are saved in their original order; the pattern holds in `weight[:, order]`.

`reallocated` distributes the columns over the groups by their summed scores, so that columns with high scores are in
different groups. The columns are sorted by summed score, ascending, and cut into m equal parts. Part k fills slot k of
every group, every second part in reverse.

`assigned` improves this order. Slot by slot, it reassigns the slot's columns to the groups so that the total retained
score is maximal (a linear sum assignment). A group whose slot is vacant retains, in each row, its n - 1 best other
columns and the better of the candidate and the n-th best of the others. The sum of max(a, b) over rows is half of
sum(a) + sum(b) + sum|a - b|, so the gains of all pairs are one matrix of L1 distances.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from prunescope.pruning.patterns import NofM


def reallocated(scores: Float[Tensor, "rows columns"], pattern: NofM) -> Int[Tensor, " columns"]:
    """Return the column order that distributes the columns over the groups by their summed score.

    >>> reallocated(torch.tensor([[0.0, 1, 2, 3, 4, 5, 6, 7]]), NofM(2, 4)).tolist()
    [0, 3, 4, 7, 1, 2, 5, 6]
    """
    parts = scores.sum(dim=0).argsort(stable=True).view(pattern.m, -1)
    parts[1::2] = parts[1::2].flip(1)
    return parts.T.flatten()


def assigned(
    scores: Float[Tensor, "rows columns"], pattern: NofM, order: Int[Tensor, " columns"], subgroups: int
) -> Int[Tensor, " columns"]:
    """Return a column order that retains at least as much score as `order`.

    The assignment's time grows with the cube of the number of groups. With `subgroups` above 1, the groups are split
    into that many sets, and columns are exchanged only within a set.
    """
    slots = order.view(-1, pattern.m).clone()
    for first in range(min(subgroups, len(slots))):
        among = slice(first, None, subgroups)
        for slot in range(pattern.m):
            slots[among, slot] = slots[among, slot][_assignment(scores, slots[among], slot, pattern.n)]
    return slots.flatten()


def retained(scores: Float[Tensor, "rows columns"], pattern: NofM, order: Int[Tensor, " columns"]) -> float:
    """Return the sum of the scores of the kept weights when the pattern is applied to the columns in the given
    order."""
    groups = scores[:, order].reshape(-1, pattern.m)
    return float(groups.topk(pattern.n, dim=1).values.sum(dtype=torch.float64))


def _assignment(
    scores: Float[Tensor, "rows columns"], slots: Int[Tensor, "groups m"], slot: int, n: int
) -> Int[Tensor, " groups"]:
    """Return, for each group, the index of the group from which it takes the column for `slot`."""
    from scipy.optimize import linear_sum_assignment  # imported here, so that SciPy is needed only for this option

    others = torch.cat([slots[:, :slot], slots[:, slot + 1 :]], dim=1)
    candidates = scores[:, slots[:, slot]].T
    nth_best = scores[:, others].topk(n, dim=2).values[:, :, -1].T
    # Terms that depend only on the group or only on the candidate have the same sum in every assignment.
    gain = torch.cdist(nth_best.contiguous(), candidates.contiguous(), p=1).double().cpu().numpy()
    taken = linear_sum_assignment(gain, maximize=True)[1]
    return torch.from_numpy(np.asarray(taken)).to(slots.device)
