"""The hub's client against a real HTTP server that speaks as much of the hub as is needed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import huggingface_hub.constants
import pytest
import torch

from prunescope.lm.adopted import tokenizer_of
from prunescope.lm.errors import BadData, BadInput, ModelNotFound, NoSafetensors
from prunescope.lm.hub import dataset_rows
from prunescope.lm.loading import load
from tests.hub import Hub, running_hub
from tests.models import tiny_folder

NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens
CARD = """---
configs:
- config_name: pairs
  data_files:
  - split: train
    path: pairs/train-*
---
"""


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What HF_ENDPOINT and HF_HUB_CACHE say, which the client reads once, when it is imported."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", endpoint)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    with running_hub() as state:
        point_to(state.address, monkeypatch, tmp_path)
        yield state


@pytest.fixture
def no_network(monkeypatch, tmp_path) -> None:
    point_to(NOBODY, monkeypatch, tmp_path)


def test_a_model_is_fetched_without_its_other_files(hub, tmp_path, monkeypatch):
    folder = tiny_folder(tmp_path / "there")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    (folder / "code.py").write_text("not wanted")
    hub.repositories["someone/small"] = folder
    lm = load("someone/small@main")
    assert lm.reference == "someone/small@main" and lm.dtype == torch.float32 and lm.tokenizer is not None
    assert not any("not wanted" in path or ".bin" in path or ".py" in path for path in hub.asked)
    # Fetched once, it is found again without a network.
    point_to(NOBODY, monkeypatch, tmp_path)
    assert load("someone/small").dtype == torch.float32


def test_what_the_hub_refuses(hub, tmp_path):
    folder = tiny_folder(tmp_path / "there")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    hub.repositories |= {"someone/old": folder, "someone/gated": "GatedRepo"}
    with pytest.raises(NoSafetensors, match=r"someone/old has no model\.safetensors \(it has pytorch_model\.bin\)"):
        load("someone/old")
    with pytest.raises(ModelNotFound, match=r"gated.*HF_TOKEN"):
        load("someone/gated")
    with pytest.raises(ModelNotFound, match="no such model on the hub"):
        load("someone/nowhere")
    with pytest.raises(ModelNotFound, match="no revision 'missing'"):
        load("someone/old@missing")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(NoSafetensors, match="no weights at all"):
        load("someone/old")


def test_variants_and_what_stands_twice(hub, tmp_path):
    folder = tiny_folder(tmp_path / "there")
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    hub.repositories["someone/half"] = folder
    assert load("someone/half").dtype == torch.float32
    both = tiny_folder(tmp_path / "both")
    (both / "model-00001-of-00001.safetensors").write_bytes(b"not wanted")
    hub.repositories["someone/both"] = both
    assert load("someone/both").dtype == torch.float32
    assert not any("00001" in path for path in hub.asked)
    (both / "adapter_config.json").write_text("{}")
    hub.repositories["someone/adapter"] = both
    with pytest.raises(NoSafetensors, match="someone/adapter is an adapter"):
        load("someone/adapter")


def test_a_download_that_breaks_off(hub, tmp_path):
    folder = tiny_folder(tmp_path / "there")
    (folder / "broken.json").symlink_to(tmp_path / "gone")  # listed, but not to be had
    hub.repositories["someone/broken"] = folder
    with pytest.raises(ModelNotFound, match="broke off"):
        load("someone/broken")


def test_a_loaded_models_tokenizer_is_fetched_alone(hub, tmp_path, monkeypatch):
    model = load(tiny_folder(tmp_path / "there")).model
    hub.repositories["someone/small"] = tmp_path / "there"
    model.config.name_or_path = "someone/small"
    tokenizer = tokenizer_of(model)
    assert tokenizer is not None and not any("safetensors" in path and "resolve" in path for path in hub.asked)
    point_to(NOBODY, monkeypatch, tmp_path)
    again = tokenizer_of(model)
    assert again is not None and again.get_vocab() == tokenizer.get_vocab()
    model.config.name_or_path = "someone/other"
    with pytest.raises(BadInput, match="give it as tokenizer=: someone/other cannot be read from the hub"):
        tokenizer_of(model)


@pytest.mark.usefixtures("no_network")
def test_no_network_is_said_at_once_with_a_way_out():
    with pytest.raises(ModelNotFound, match=r"facebook/opt-125m: .*hub cannot be reached.*local folder or 'demo'"):
        load("facebook/opt-125m")


@pytest.mark.usefixtures("no_network")
def test_a_data_set_without_network():
    with pytest.raises(BadData, match=r"someone/texts cannot be read.*: use demo"):
        list(dataset_rows("someone/texts", None, "train", advice="use demo"))


ROWS = [{"sentence1": f"first {number}", "label": number % 2} for number in range(5)]


@pytest.fixture
def pairs(hub, tmp_path) -> None:
    """A data set in the hub's usual form: parquet files, and a card that says which split they are."""
    folder = tmp_path / "pairs there"
    (folder / "pairs").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    datasets.Dataset.from_list(ROWS).to_parquet(folder / "pairs" / "train-00000-of-00001.parquet")
    hub.repositories["datasets/someone/pairs"] = folder


@pytest.mark.usefixtures("pairs")
def test_the_rows_of_a_data_set(capfd):
    assert list(dataset_rows("someone/pairs", "pairs", "train", advice="use demo")) == ROWS
    assert list(dataset_rows("someone/pairs", "pairs", "train", advice="use demo", limit=2)) == ROWS[:2]
    assert capfd.readouterr() == ("", ""), "progress bars are the caller's"
    with pytest.raises(BadData, match=r"someone/pairs cannot be read .*none.*: use demo"):
        list(dataset_rows("someone/pairs", "none", "train", advice="use demo"))
    with pytest.raises(BadData, match=r"someone/pairs cannot be read .*test.*: use demo"):
        list(dataset_rows("someone/pairs", "pairs", "test", advice="use demo"))


def test_without_the_datasets_library(hub, monkeypatch, tmp_path):
    hub.repositories["datasets/someone/pairs"] = tmp_path
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadData, match=r"someone/pairs cannot be read from the hub \(.*datasets.*\): use demo"):
        list(dataset_rows("someone/pairs", "pairs", "train", advice="use demo"))
