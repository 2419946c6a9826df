"""The function that an MLP's first matrices and its nonlinearity compute: a neuron's activation from the MLP's input.

    gated (two matrices, or one with gate and up rows)    f(W, x) = act(W_g x + b_g) (W_u x + b_u)
    not gated                                             f(W, x) = act(W x + b)

The nonlinearity, and which of two matrices is the gate, are not read from names. They are chosen as those that
reproduce recorded activations. An MLP that computes anything else (a norm or a limit between the matrices, scaled
inputs) has no form.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from prunescope.lm.architecture import down_projection, up_projections, weight_view
from prunescope.lm.nonlinearity import nonlinearities

MAX_ERROR = 0.03
"""Maximum relative error (Frobenius norm) of the activations that a form computes. bfloat16 models are within 0.01;
another nonlinearity or exchanged matrices give much more."""

MAX_ERROR_FLOAT32 = 0.003
"""The same for a model that computes in float32, whose activations differ by their rounding to float16 only."""

USUAL: tuple[Callable[[Tensor], Tensor], ...] = (
    functional.silu,
    functional.gelu,
    lambda z: functional.gelu(z, approximate="tanh"),
    functional.relu,
    lambda z: functional.relu(z).square(),
    lambda z: z * torch.sigmoid(1.702 * z),
)
"""Nonlinearities that are tried if a model has none as a module or attribute, because its forward calls a function."""

Part = tuple[Float[Tensor, "neurons hidden"], Float[Tensor, " neurons"] | None]
"""Rows and biases of one matrix for some neurons, in float32."""


@dataclass(frozen=True)
class Form:
    """How activations follow from pre-activations. `gate` is the index of the gate among the two matrices; None: the
    MLP is not gated."""

    act: Callable[[Tensor], Tensor]
    gate: int | None

    def activations(
        self, parts: Sequence[Part], inputs: Float[Tensor, "tokens hidden"]
    ) -> Float[Tensor, "neurons tokens"]:
        """Return f(W, x) of the neurons in `parts`."""
        return self.of(pre_activations(parts, inputs))

    def of(self, z: Sequence[Float[Tensor, "neurons tokens"]]) -> Float[Tensor, "neurons tokens"]:
        """Return the activations that follow from the pre-activations of the matrices."""
        if self.gate is None:
            return self.act(z[0])
        return self.act(z[self.gate]) * z[1 - self.gate]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the matrices, in the order of `parts`."""
        if self.gate is None:
            return ("up",)
        return ("gate", "up") if self.gate == 0 else ("up", "gate")


def pre_activations(
    parts: Sequence[Part], inputs: Float[Tensor, "tokens hidden"]
) -> list[Float[Tensor, "neurons tokens"]]:
    """Return W x + b of every matrix for the neurons in `parts`."""
    return [rows @ inputs.T if bias is None else torch.addmm(bias[:, None], rows, inputs.T) for rows, bias in parts]


def parts_of(layer: nn.Module, neurons: slice, device: torch.device, dtype: torch.dtype) -> list[Part]:
    """Return copies of the rows and biases of some neurons of one layer's MLP, on `device` in float32, rounded to
    `dtype` before (the type in which the model computes, if the layer is memory-mapped in the checkpoint's)."""

    def copied(values: Tensor) -> Tensor:
        return values[neurons].to(device=device, dtype=dtype).float()

    return [(copied(rows), None if bias is None else copied(bias)) for rows, bias in _matrices(layer)]


def input_width(layer: nn.Module) -> int:
    """Return the number of input dimensions of a layer's MLP."""
    return int(next(_matrices(layer))[0].shape[1])


def find_form(
    layer: nn.Module,
    inputs: Float[Tensor, "tokens hidden"],
    activations: Float[Tensor, "neurons tokens"],
) -> Form | None:
    """Return the form that computes the recorded activations of the layer's first neurons from the MLP's inputs; None
    if none of those that are tried has an error of at most MAX_ERROR (MAX_ERROR_FLOAT32 in float32)."""
    dtype = _dtype(layer)
    z = pre_activations(parts_of(layer, slice(0, len(activations)), inputs.device, dtype), inputs)
    most = MAX_ERROR_FLOAT32 if dtype == torch.float32 else MAX_ERROR
    gates: tuple[int | None, ...] = (None,) if len(z) == 1 else (0, 1)
    own = [act for name in (*_parents(layer), "") for act in nonlinearities(layer.get_submodule(name))]
    for acts in (own, USUAL):
        errors = [(_error(Form(act, gate), z, activations), Form(act, gate)) for act in acts for gate in gates]
        error, best = min(errors, key=lambda found: found[0], default=(float("inf"), None))
        if error <= most:
            return best
    return None


def _error(
    form: Form, z: Sequence[Float[Tensor, "neurons tokens"]], activations: Float[Tensor, "neurons tokens"]
) -> float:
    try:
        found = form.of(z)
    except Exception:  # an attribute that is called with one number in its test may refuse a matrix, with any error
        return float("inf")
    norm = float(activations.norm())
    error = float((found - activations).norm())
    return error / norm if norm else (0.0 if error == 0 else float("inf"))


def _matrices(layer: nn.Module) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield views (weight [neurons, hidden], bias [neurons]) of the MLP's first matrices; a fused gate-and-up matrix
    gives its two halves."""
    neurons = weight_view(down_projection(layer)).shape[1]
    for module in up_projections(layer).values():
        weight = weight_view(module)
        bias = cast(Tensor | None, getattr(module, "bias", None))
        for first in range(0, len(weight), neurons):
            rows = slice(first, first + neurons)
            yield weight[rows], None if bias is None else bias.detach()[rows]


def _parents(layer: nn.Module) -> list[str]:
    """Return the names of the modules that contain the MLP's first matrices, innermost first, without the layer."""
    name = next(iter(up_projections(layer)))
    found = []
    while name := name.rpartition(".")[0]:
        found.append(name)
    return found


def _dtype(layer: nn.Module) -> torch.dtype:
    return weight_view(down_projection(layer)).dtype
