"""The pruning methods by name. To add a method, add a file to this folder and a line to `METHODS`."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from prunescope.lm.errors import BadInput
from prunescope.pruning.methods.magnitude import Magnitude
from prunescope.pruning.methods.noise import Noise
from prunescope.pruning.methods.protocol import Calibrated, WeightsOnly
from prunescope.pruning.methods.random_mask import RandomMask
from prunescope.pruning.methods.ria import RIA
from prunescope.pruning.methods.sparsegpt import SparseGPT
from prunescope.pruning.methods.wanda import Wanda

METHODS: dict[str, type[WeightsOnly | Calibrated[Any]]] = {
    "magnitude": Magnitude,
    "wanda": Wanda,
    "sparsegpt": SparseGPT,
    "ria": RIA,
    "random": RandomMask,
    "noise": Noise,
}


def build(name: str, options: Mapping[str, object]) -> WeightsOnly | Calibrated[Any]:
    """Return the method `name` with these options. Raises BadInput for an unknown name or option; the message lists the
    known ones."""
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise BadInput(f"method {name!r} is unknown{hint}; known: {', '.join(METHODS)}")
    method = METHODS[name]
    known = [field.name for field in fields(method)]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise BadInput(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return method(**options)
