"""Finds the MLP among a decoder layer's linears, by shapes and by the nonlinearity between its matrices.

Candidates are linears with the same parent module, or in two sibling modules with one linear each (BERT's intermediate
and output):

    one or two [neurons, hidden], or one [2 x neurons, hidden] that holds gate and up (Phi-3); and one [hidden, neurons]

whose parent holds an elementwise nonlinearity (`lm.nonlinearity`). The MLP is the candidate with the most neurons,
because a layer may also have small gated pairs (the per-layer inputs of Gemma 3n and 4, adapters). Query, key and value
of equal shape, or a low-rank pair, are not candidates, because their parent holds no nonlinearity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.hooks import record_inputs
from prunescope.lm.nonlinearity import CONTAINERS, holds_nonlinearity

Shape = Sequence[int]


@dataclass(frozen=True)
class MLP:
    """The names, within the layer, of the MLP's first linears and of its last linear, and the number of neurons between
    them."""

    first: tuple[str, ...]
    down: str
    neurons: int


def find_mlp(layer: nn.Module, shapes: Mapping[str, Shape]) -> MLP:
    """Return the MLP of a layer; `shapes` maps the names of its linears to (rows, columns).

    Raises UnsupportedModel when there is no candidate, or when several have the most neurons; the message then names
    them.
    """
    found = [
        one for group, parents in _candidate_groups(layer, shapes) for one in _candidates(layer, group, parents, shapes)
    ]
    most = max((one.neurons for one in found), default=0)
    largest = [one for one in found if one.neurons == most]
    if len(largest) == 1:
        return largest[0]
    kind = type(layer).__name__
    if largest:
        raise UnsupportedModel(
            f"{kind}: {' and '.join(_described(one) for one in largest)} could each be the MLP, all with {most} "
            f"neurons; its neurons cannot be attributed"
        )
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "none"
    raise UnsupportedModel(
        f"{kind}: no MLP found (one or two linears [neurons, hidden] or one [2 x neurons, hidden], and one "
        f"[hidden, neurons], with a nonlinearity beside them) among {listed}"
    )


def _candidate_groups(layer: nn.Module, shapes: Mapping[str, Shape]) -> list[tuple[list[str], list[str]]]:
    """Return groups of linears that may form an MLP, each with the modules that may hold its nonlinearity."""
    by_parent: dict[str, list[str]] = {}
    for name in shapes:
        by_parent.setdefault(_parent(name), []).append(name)
    groups = [(group, [parent]) for parent, group in by_parent.items()]
    # Sibling modules with one linear each.
    single = [(parent, group[0]) for parent, group in by_parent.items() if len(group) == 1 and parent]
    for place, (parent, first) in enumerate(single):
        for other_parent, last in single[place + 1 :]:
            if _parent(parent) == _parent(other_parent):
                groups.append(([first, last], [parent, other_parent]))
    return groups


def _candidates(layer: nn.Module, group: list[str], parents: list[str], shapes: Mapping[str, Shape]) -> list[MLP]:
    """Return the possible MLPs of a group of linears; empty unless their shapes fit and there is a nonlinearity."""
    if len(group) not in (2, 3):
        return []
    fitting = [one for position in range(len(group)) if (one := _fit(group, position, shapes)) is not None]
    if not fitting or not any(_holds_nonlinearity(layer, parent) for parent in parents):
        return []
    if len(fitting) == 1:
        return fitting
    # With as many neurons as hidden features, the shapes do not identify the last linear.
    last = _called_last(layer, group, shapes)
    return [one for one in fitting if one.down == last] or fitting


def _called_last(layer: nn.Module, group: list[str], shapes: Mapping[str, Shape]) -> str | None:
    """Return the linear that the group's parent module calls last, found by running the parent.

    If the parent cannot be run by itself (a whole layer, for example), return the linear that is defined last for a
    group of two, and None for more.
    """
    parent = layer.get_submodule(_parent(group[0]))
    weight = next(layer.get_submodule(group[0]).parameters())
    called: list[str] = []
    modules = {name: layer.get_submodule(name) for name in group}
    inputs = torch.zeros(1, 1, shapes[group[0]][1], device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad(), record_inputs(modules, lambda name, _: called.append(name)):
            parent(inputs)
    except Exception:  # a module with several inputs or without a forward raises various types
        called.clear()
    if sorted(called) == sorted(group):
        return called[-1]
    return group[-1] if len(group) == 2 else None


def _fit(group: list[str], position: int, shapes: Mapping[str, Shape]) -> MLP | None:
    """Return the MLP whose last linear is at this position of the group; None when the shapes do not fit."""
    down = group[position]
    hidden, neurons = shapes[down]
    first = tuple(group[:position] + group[position + 1 :])
    if all(tuple(shapes[name]) == (neurons, hidden) for name in first):
        return MLP(first, down, neurons)
    if len(first) == 1 and tuple(shapes[first[0]]) == (2 * neurons, hidden):
        return MLP(first, down, neurons)
    return None


def _holds_nonlinearity(layer: nn.Module, name: str) -> bool:
    """Return whether the module `name`, or for a container the module that contains it, holds a nonlinearity."""
    module = layer.get_submodule(name)
    while isinstance(module, CONTAINERS) and name:
        name = _parent(name)
        module = layer.get_submodule(name)
    return holds_nonlinearity(module)


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _described(one: MLP) -> str:
    return f"{', '.join(one.first)} with {one.down}"
