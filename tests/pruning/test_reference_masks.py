"""The masks of the authors' published code, for both architectures, whatever the micro-batch."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lm.architecture import decoder_layers, layers_path, linears, weight_view
from lm.loading import load
from pruning.patterns import NofM, Unstructured
from pruning.walk import prune

CASES = [
    ("magnitude-0.5", "magnitude", Unstructured(0.5)),
    ("magnitude-2_4", "magnitude", NofM(2, 4)),
    ("wanda-0.3", "wanda", Unstructured(0.3)),
    ("wanda-0.5", "wanda", Unstructured(0.5)),
    ("wanda-2_4", "wanda", NofM(2, 4)),
    ("wanda-4_8", "wanda", NofM(4, 8)),
]


def keep_masks(model):
    return {
        f"{layers_path(model)}.{index}.{name}.weight": weight_view(module) != 0
        for index, layer in enumerate(decoder_layers(model))
        for name, module in linears(layer).items()
    }


@pytest.mark.parametrize("batch", [1, 3, 8, None])
@pytest.mark.parametrize(("case", "method", "pattern"), CASES)
@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_masks_equal_the_authors(shared, architecture, case, method, pattern, batch):
    folder = shared / "reference_masks" / architecture
    model = load(folder / "dense").model
    windows = load_file(folder / "calibration.safetensors")["input_ids"]
    reports = prune(model, method, pattern, windows, batch=batch)
    expected = load_file(folder / f"{case}.safetensors")
    masks = keep_masks(model)
    assert masks.keys() == expected.keys()
    assert all(torch.equal(masks[name], mask) for name, mask in expected.items())
    row = next(row for row in json.loads((folder / "manifest.json").read_text()) if row["file"].startswith(case))
    matrices = [matrix for report in reports for matrix in report.matrices]
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    assert zeros / sum(matrix.rows * matrix.columns for matrix in matrices) == pytest.approx(row["achieved"], abs=1e-6)
    assert float(model(windows[:2]).logits.double().sum()) == pytest.approx(row["logit_sum"], rel=1e-4)
