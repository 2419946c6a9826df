"""Stores finished layers as files in a folder, from which an interrupted prune run resumes.

    run.json                              identity and plan of the run that wrote the layers
    model-00003-of-00009.safetensors      tensors of layer 2, with the names of the checkpoint
    model-00003-orders.safetensors        column permutations of layer 2, if the method chose any
    model-00003.json                      report of layer 2, written last: a layer without a report is not finished

Every file is written atomically and flushed to disk (fsync).
"""

import ctypes
import json
import shutil
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from prunescope.pruning.keeper import Plan
from prunescope.pruning.reports import LayerReport, MatrixReport
from prunescope.worker.records import write_json
from prunescope.worker.shards import save_tensors, written_atomically
from prunescope.worker.stored import StoredTensors

RUN = "run.json"


class LayerFiles:
    """A `Keeper` that stores the layers as files in `folder`. The model has `layers` decoder layers, whose module has
    the name `path` (such as `model.layers`).

    Tensors are written with the names and dtypes of the checkpoint (`stored`), or with those of the model if `stored`
    is None. `identity` is a JSON document with everything that the pruned weights depend on: layers that were stored
    with another identity are not reused, and are deleted by `begin`.
    """

    def __init__(
        self, folder: Path, path: str, layers: int, identity: Mapping[str, Any], stored: StoredTensors | None = None
    ) -> None:
        self._folder, self._path, self._layers, self._stored = folder, path, layers, stored
        self._identity = json.loads(json.dumps(identity))
        self._plan: Plan | None = None

    def shard(self, index: int) -> Path:
        """The file of the layer `index`. The index after the last layer is that of the tensors outside the layers."""
        return self._folder / f"model-{index + 1:05d}-of-{self._layers + 1:05d}.safetensors"

    @property
    def shards(self) -> list[Path]:
        """The files of all layers."""
        return [self.shard(index) for index in range(self._layers)]

    @property
    def orders(self) -> list[Path]:
        """The files of column permutations that exist."""
        return [file for file in map(self._orders, range(self._layers)) if file.is_file()]

    def plan(self) -> Plan | None:
        """The plan of the run that wrote the stored layers; None if there is none, or if its identity differs."""
        try:
            run = json.loads((self._folder / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if run["identity"] != self._identity:
            return None
        sparsities = run["plan"]["sparsities"]
        return Plan(run["plan"]["batch"], None if sparsities is None else tuple(sparsities))

    def begin(self, plan: Plan) -> None:
        """Delete all stored layers for a run that resumes nothing. Its plan is written with the first finished
        layer."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._plan = plan

    def restore(self, index: int, layer: nn.Module) -> LayerReport | None:
        """Load the weights of a stored layer into `layer`, memory-mapped from its file, and return its report; None if
        the layer is not stored or cannot be read."""
        prefix = self._prefix(index)
        try:
            report = json.loads(self._report(index).read_text(encoding="utf-8"))
            tensors = load_file(self.shard(index))
            orders = load_file(self._orders(index)) if self._orders(index).is_file() else {}
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
        own = self._from_stored(tensors, layer.state_dict(prefix=prefix))
        layer.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in own.items()},
            assign=True,
            strict=self._stored is None,
        )
        matrices = tuple(
            MatrixReport(**matrix, order=_order(orders, f"{prefix}{matrix['name']}.weight"))
            for matrix in report.pop("matrices")
        )
        return LayerReport(**report, matrices=matrices)

    def keep(self, index: int, layer: nn.Module, report: LayerReport) -> None:
        """Write the layer's tensors, its column permutations, and at the end its report."""
        prefix = self._prefix(index)
        if self._plan is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_atomically(self._folder / RUN) as place:
                write_json(place, {"identity": self._identity, "plan": asdict(self._plan)})
            self._plan = None
        pruned = {f"{prefix}{matrix.name}.weight" for matrix in report.matrices}
        save_tensors(self._as_stored(layer.state_dict(prefix=prefix), pruned), self.shard(index))
        orders = {
            f"{prefix}{matrix.name}.weight": matrix.order.to(torch.int32)
            for matrix in report.matrices
            if matrix.order is not None
        }
        if orders:
            save_tensors(orders, self._orders(index))
        with written_atomically(self._report(index)) as place:
            write_json(place, report_document(report))
        trim_heap()

    def _as_stored(self, state: Mapping[str, Tensor], pruned: AbstractSet[str]) -> Mapping[str, Tensor]:
        """The tensors of a layer with the names and dtypes with which they are written. Tensors that were not pruned
        (`pruned` has the model's names of those that were) are read from the checkpoint."""
        stored = self._stored
        if stored is None:
            return state
        return {
            name: stored.in_stored_dtype(own, tensor) if own in pruned else stored.original(own)
            for own, tensor in state.items()
            if (name := stored.name(own)) is not None
        }

    def _from_stored(self, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The stored tensors of a layer with the names and dtypes of the model's state dict `state`."""
        stored = self._stored
        if stored is None:
            return tensors
        return {(own := stored.own_name(name)): tensor.to(state[own].dtype) for name, tensor in tensors.items()}

    def _prefix(self, index: int) -> str:
        return f"{self._path}.{index}."

    def _orders(self, index: int) -> Path:
        return self._folder / f"model-{index + 1:05d}-orders.safetensors"

    def _report(self, index: int) -> Path:
        return self._folder / f"model-{index + 1:05d}.json"


def report_document(report: LayerReport) -> dict[str, Any]:
    """A layer's report as a JSON document, without column permutations."""
    names = ("layer", "name", "rows", "columns", "sparsity", "relative_error", "damping_retries")
    notes = ("sparsity_note", "error_note")
    return {
        "layer": report.layer,
        "layers": report.layers,
        "seconds": report.seconds,
        "stages": dict(report.stages),
        "batch": report.batch,
        "matrices": [{name: getattr(matrix, name) for name in (*names, *notes)} for matrix in report.matrices],
    }


def trim_heap() -> None:
    """Return the memory of freed tensors from the C library's heap to the system (malloc_trim), if the library supports
    it.

    Small tensors of a layer are allocated between longer-lived ones, and a heap shrinks only from its end. Without this
    call, a model with many small layers takes more memory with every layer.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _order(orders: Mapping[str, Tensor], name: str) -> Tensor | None:
    return orders[name].long() if name in orders else None
