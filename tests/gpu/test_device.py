"""The same numbers on a GPU as on the CPU: loading, pruning, recording and scoring, in float32."""

from pathlib import Path

import numpy as np
import pytest
import torch

from prunescope.evaluation.likelihood import encode
from prunescope.lm.architecture import decoder_layers, linears, neuron_count, weight_view
from prunescope.lm.loading import load
from prunescope.nsa.recording import record
from prunescope.pruning.patterns import NofM, Pattern, Unstructured
from prunescope.pruning.walk import prune
from tests.models import CONTEXT, FAMILIES, LAYERS, VOCABULARY, tiny, tiny_folder, tiny_tokenizer
from tests.scoring import log_likelihoods

DEVICE = "cuda"
TEXTS = ("the room was small and the food was bad", "the staff were kind", "bad")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]


def windows(samples: int = 12, tokens: int = 48) -> torch.Tensor:
    return torch.randint(2, VOCABULARY, (samples, tokens), generator=torch.Generator().manual_seed(1))


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every pruned matrix, on the CPU."""
    return {
        f"{index} {name}": weight_view(module).cpu()
        for index, layer in enumerate(decoder_layers(model))
        for name, module in linears(layer).items()
    }


def assert_pruned_alike(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """The same weights went: sums in another order may swap two that lie within rounding of each other, no more."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, matrix in first.items():
        alike = (matrix == 0) == (second[name] == 0)
        assert alike.float().mean() > 0.998, name
        torch.testing.assert_close(matrix[alike], second[name][alike], rtol=0, atol=0, msg=name)


def test_auto_means_the_gpu_and_the_checkpoints_own_type(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, dtype=torch.float16)
    lm = load(folder)
    assert lm.model.device.type == lm.device.type == DEVICE
    assert lm.model.dtype == lm.dtype == torch.float16
    hosted = load(folder, resident=False)
    assert (hosted.model.device.type, hosted.device.type, hosted.model.dtype) == ("cpu", DEVICE, torch.float16)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_agree(family: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, family)
    here, there = (load(folder, device=device, dtype="float32").model for device in ("cpu", DEVICE))
    ids = windows(3)
    torch.testing.assert_close(there(ids.to(DEVICE)).logits.cpu(), here(ids).logits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pattern", [Unstructured(0.5), NofM(2, 4)], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["magnitude", "wanda", "ria"])
def test_the_same_weights_go(method: str, family: str, pattern: Pattern) -> None:
    here, there = tiny(family), tiny(family).to(DEVICE)
    ours, theirs = prune(here, method, pattern, windows()), prune(there, method, pattern, windows())
    assert_pruned_alike(here, there)
    for one, other in zip(ours, theirs, strict=True):
        for matrix, peer in zip(one.matrices, other.matrices, strict=True):
            assert peer.sparsity == pytest.approx(matrix.sparsity, abs=1e-3)
            assert (peer.relative_error is None) == (matrix.relative_error is None) == (method == "magnitude")
            assert peer.relative_error is None or peer.relative_error == pytest.approx(matrix.relative_error, rel=0.02)


def test_a_model_in_host_memory_is_worked_on_layer_by_layer_on_the_device() -> None:
    here, hosted = tiny("llama"), tiny("llama")
    prune(here, "wanda", Unstructured(0.5), windows())
    prune(hosted, "wanda", Unstructured(0.5), windows(), device=torch.device(DEVICE))
    assert {parameter.device.type for parameter in hosted.parameters()} == {"cpu"}
    assert_pruned_alike(here, hosted)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_activations_are_recorded(family: str) -> None:
    tokenizer = tiny_tokenizer()
    token_ids = [tokenizer(text)["input_ids"] for text in TEXTS]

    def recorded(device: str) -> np.ndarray:
        model = tiny(family).to(device)
        taken = np.full((LAYERS, sum(map(len, token_ids)), neuron_count(model)), np.nan, np.float16)

        def receive(layer: int, start: int, activations: np.ndarray) -> None:
            taken[layer, start : start + len(activations)] = activations

        record(model, token_ids, receive)
        return taken

    np.testing.assert_allclose(recorded(DEVICE), recorded("cpu"), rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_score_the_same(family: str) -> None:
    tokenizer = tiny_tokenizer()
    encoded = [encode(tokenizer, text, answer, CONTEXT) for text in TEXTS for answer in (" good", " bad")]
    here, there = (log_likelihoods(tiny(family).to(device), encoded) for device in ("cpu", DEVICE))
    assert there == pytest.approx(here, rel=1e-3)


def test_accuracy_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="the tasks' prompts are lm-evaluation-harness's")
    from prunescope.evaluation import evaluate

    folder = tiny_folder(tmp_path / "model")
    here, there = (
        evaluate(load(folder, device=device), ["reviews"], limit=40)["reviews"] for device in ("cpu", DEVICE)
    )
    close = sum(abs(example.scores[0] - example.scores[1]) < 1e-3 for example in here.examples)
    assert abs(here.accuracy - there.accuracy) <= close / 40
    for one, other in zip(here.examples, there.examples, strict=True):
        assert other.scores == pytest.approx(one.scores, rel=1e-3)
