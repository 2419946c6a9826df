"""The masks, and SparseGPT's weights, of the authors' published code, for both architectures, whatever the
micro-batch."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from prunescope.lm.architecture import decoder_layers, layers_path, linears, weight_view
from prunescope.lm.loading import load
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune

CASES = [
    ("magnitude-0.5", "magnitude", Unstructured(0.5), {}),
    ("magnitude-2_4", "magnitude", NofM(2, 4), {}),
    ("wanda-0.3", "wanda", Unstructured(0.3), {}),
    ("wanda-0.5", "wanda", Unstructured(0.5), {}),
    ("wanda-2_4", "wanda", NofM(2, 4), {}),
    ("wanda-4_8", "wanda", NofM(4, 8), {}),
    ("sparsegpt-0.5", "sparsegpt", Unstructured(0.5), {}),
    ("sparsegpt-0.7", "sparsegpt", Unstructured(0.7), {}),
    ("sparsegpt-2_4", "sparsegpt", NofM(2, 4), {}),
    ("sparsegpt-4_8", "sparsegpt", NofM(4, 8), {}),
    ("ria-0.5", "ria", Unstructured(0.5), {}),
    ("ria-0.6-a1.0", "ria", Unstructured(0.6), {"exponent": 1.0}),
    ("ria-2_4", "ria", NofM(2, 4), {}),
    ("ria-2_4-realloc", "ria", NofM(2, 4), {"permutation": "reallocation"}),
    ("ria-4_8-realloc", "ria", NofM(4, 8), {"permutation": "reallocation"}),
]
ARCHITECTURES = ["llama", "opt"]


@pytest.fixture(scope="module")
def dense(shared):
    """Fresh copies of the dense models, each loaded once."""
    models = {name: load(shared / "reference_masks" / name / "dense").model for name in ARCHITECTURES}
    return lambda architecture: copy.deepcopy(models[architecture])


def weights(model):
    return {
        f"{layers_path(model)}.{index}.{name}.weight": weight_view(module)
        for index, layer in enumerate(decoder_layers(model))
        for name, module in linears(layer).items()
    }


def manifest(shared, architecture):
    rows = json.loads((shared / "reference_masks" / architecture / "manifest.json").read_text())
    return {row["file"].removesuffix(".safetensors"): row for row in rows}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_case_is_here(shared, architecture):
    assert {case for case, *_ in CASES} == manifest(shared, architecture).keys()


@pytest.mark.parametrize("batch", [1, 3, 8, None])
@pytest.mark.parametrize(("case", "method", "pattern", "options"), CASES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_masks_and_weights_equal_the_authors(shared, dense, architecture, case, method, pattern, options, batch):
    folder = shared / "reference_masks" / architecture
    model = dense(architecture)
    windows = load_file(folder / "calibration.safetensors")["input_ids"]
    reports = prune(model, method, pattern, windows, options=options, batch=batch)
    pruned, expected = weights(model), load_file(folder / f"{case}.safetensors")
    assert pruned.keys() == expected.keys()
    for name, wanted in expected.items():
        assert torch.equal(pruned[name] != 0, wanted != 0), name
        if wanted.dtype != torch.bool:
            assert torch.linalg.vector_norm(pruned[name] - wanted) <= 1e-3 * torch.linalg.vector_norm(wanted), name
    row = manifest(shared, architecture)[case]
    matrices = [matrix for report in reports for matrix in report.matrices]
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    assert zeros / sum(matrix.rows * matrix.columns for matrix in matrices) == pytest.approx(row["achieved"], abs=1e-6)
    # The sum of all logits nearly cancels: it follows updated weights less closely than the weights do the authors'.
    close = {"abs": 0.05} if method == "sparsegpt" else {"rel": 1e-4}
    assert float(model(windows[:2]).logits.double().sum()) == pytest.approx(row["logit_sum"], **close)
