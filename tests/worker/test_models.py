"""The cache of models: loaded once, within a memory limit, and never handed out for changes."""

import os
from pathlib import Path

import pytest
import torch

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.errors import NoSafetensors
from prunescope.worker.models import ModelCache
from tests.models import tiny_folder


def test_a_model_is_loaded_once(tiny_root: Path) -> None:
    models = ModelCache("cpu")
    first, second = models.get(tiny_root / "llama", "a"), models.get(tiny_root / "llama", "b")
    assert first.model is second.model
    assert (first.reference, second.reference) == ("a", "b")


def test_a_model_of_ones_own_may_be_changed(tiny_root: Path) -> None:
    models = ModelCache("cpu")
    warm, own = models.get(tiny_root / "llama", "a"), models.own(tiny_root / "llama", "a")
    name, module = next(iter(linears(decoder_layers(own.model)[0]).items()))
    weight_view(module).zero_()
    assert bool(weight_view(linears(decoder_layers(warm.model)[0])[name]).any())


def test_a_model_that_was_written_anew_is_loaded_anew(tmp_path: Path) -> None:
    models = ModelCache("cpu")
    before = models.get(tiny_folder(tmp_path / "m"), "m")
    tiny_folder(tmp_path / "m", dtype=torch.float16)
    os.utime(tmp_path / "m" / "model.safetensors", (1, 1))
    after = models.get(tmp_path / "m", "m")
    assert before.model is not after.model and after.dtype == torch.float16


def test_the_limit_lets_the_oldest_go(tmp_path: Path) -> None:
    folders = [tiny_folder(tmp_path / name) for name in "abc"]
    size = (folders[0] / "model.safetensors").stat().st_size
    models = ModelCache("cpu", limit_bytes=int(2.5 * size))
    kept = [models.get(folder, folder.name).model for folder in folders]
    assert models.get(folders[2], "c").model is kept[2]
    assert models.get(folders[1], "b").model is kept[1]
    assert models.get(folders[0], "a").model is not kept[0]


def test_weights_are_those_in_memory_only_if_another_model_fits_beside_them(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "a")
    size = (folder / "model.safetensors").stat().st_size
    for limit, same in ((3 * size, True), (int(1.5 * size), False)):
        models = ModelCache("cpu", limit_bytes=limit)
        kept = models.get(folder, "a").model
        assert (models.weights(folder, "a").model is kept) == same


def test_errors_are_those_of_loading(tiny_root: Path) -> None:
    with pytest.raises(NoSafetensors):
        ModelCache("cpu").get(tiny_root / "bare", "bare")
