"""Finished layers as files in a folder that outlives the process: what a walk that was killed goes on from.

    run.json                              what the layers belong to, and the walk's plan
    model-00003-of-00009.safetensors      layer 2: the tensors of the pruned checkpoint, by their names there
    model-00003-orders.safetensors        its columns' orders, where a method chose others than the stored ones
    model-00003.json                      its report, written last: a layer without it is not finished

Every file appears whole or not at all, and is on the disk before its layer counts.
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
from prunescope.worker.shards import save_tensors, written_whole
from prunescope.worker.stored import StoredTensors

RUN = "run.json"


class LayerFiles:
    """The keeper of a walk over `layers` layers that lie at `path` in the model (`model.layers`).

    Tensors are written by the names and in the types of the checkpoint (`stored`; None: in those of the model).
    `identity` says what the weights depend on, as JSON: layers that were kept under another one are of no use, and go
    when a walk begins.
    """

    def __init__(
        self, folder: Path, path: str, layers: int, identity: Mapping[str, Any], stored: StoredTensors | None = None
    ) -> None:
        self._folder, self._path, self._layers, self._stored = folder, path, layers, stored
        self._identity = json.loads(json.dumps(identity))
        self._plan: Plan | None = None

    def shard(self, index: int) -> Path:
        """The file of a layer; the one after the last is for what lies outside of the layers."""
        return self._folder / f"model-{index + 1:05d}-of-{self._layers + 1:05d}.safetensors"

    @property
    def shards(self) -> list[Path]:
        """The files of all layers."""
        return [self.shard(index) for index in range(self._layers)]

    @property
    def orders(self) -> list[Path]:
        """The files of columns' orders, of the layers that have any."""
        return [file for file in map(self._orders, range(self._layers)) if file.is_file()]

    def plan(self) -> Plan | None:
        """The plan of the run that the folder holds layers of; None when that was another run."""
        try:
            run = json.loads((self._folder / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if run["identity"] != self._identity:
            return None
        sparsities = run["plan"]["sparsities"]
        return Plan(run["plan"]["batch"], None if sparsities is None else tuple(sparsities))

    def begin(self, plan: Plan) -> None:
        """Empty the folder for a run of its own; there is nothing in it before the first layer is finished."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._plan = plan

    def restore(self, index: int, layer: nn.Module) -> LayerReport | None:
        """Map the layer's weights from its file."""
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
        """Write the layer's tensors, the orders of its columns, and then its report."""
        prefix = self._prefix(index)
        if self._plan is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self._folder / RUN) as place:
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
        with written_whole(self._report(index)) as place:
            write_json(place, report_document(report))
        give_back_memory()

    def _as_stored(self, state: Mapping[str, Tensor], pruned: AbstractSet[str]) -> Mapping[str, Tensor]:
        """A layer's tensors as they are written: those that were not pruned are the checkpoint's own."""
        stored = self._stored
        if stored is None:
            return state
        return {
            name: stored.stored_alike(own, tensor) if own in pruned else stored.original(own)
            for own, tensor in state.items()
            if (name := stored.name(own)) is not None
        }

    def _from_stored(self, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A layer's tensors as the model has them."""
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
    """A report as JSON, without the columns' orders."""
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


def give_back_memory() -> None:
    """Hand what freed tensors left in the C library's heap back to the system, where that library can.

    Small tensors of a layer come to lie between longer-lived ones, and a heap shrinks only from its end: without this a
    model of many small layers takes more memory with each of them.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _order(orders: Mapping[str, Tensor], name: str) -> Tensor | None:
    return orders[name].long() if name in orders else None
