"""The walk on a GPU: the same masks, with the model there or visiting it layer by layer."""

import pytest
import torch
from safetensors.torch import load_file

from prunescope.lm.architecture import decoder_layers, layers_path, linears, weight_view
from prunescope.lm.loading import load
from prunescope.pruning.hessian import Hessian
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    ("case", "method", "pattern", "options"),
    [
        ("magnitude-0.5", "magnitude", Unstructured(0.5), {}),
        ("magnitude-2_4", "magnitude", NofM(2, 4), {}),
        ("wanda-0.5", "wanda", Unstructured(0.5), {}),
        ("wanda-2_4", "wanda", NofM(2, 4), {}),
        ("wanda-4_8", "wanda", NofM(4, 8), {}),
        ("sparsegpt-0.5", "sparsegpt", Unstructured(0.5), {}),
        ("sparsegpt-2_4", "sparsegpt", NofM(2, 4), {}),
        ("sparsegpt-4_8", "sparsegpt", NofM(4, 8), {}),
        ("ria-0.5", "ria", Unstructured(0.5), {}),
        ("ria-2_4-realloc", "ria", NofM(2, 4), {"permutation": "reallocation"}),
        ("ria-4_8-realloc", "ria", NofM(4, 8), {"permutation": "reallocation"}),
    ],
)
@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_masks_equal_the_authors_on_a_gpu(shared, architecture, case, method, pattern, options, resident):
    folder = shared / "reference_masks" / architecture
    lm = load(folder / "dense", device="cuda", resident=resident)
    assert next(lm.model.parameters()).device.type == ("cuda" if resident else "cpu")
    windows = load_file(folder / "calibration.safetensors")["input_ids"]
    prune(lm.model, method, pattern, windows, options=options, device=lm.device)
    equal = total = 0
    for index, layer in enumerate(decoder_layers(lm.model)):
        for name, module in linears(layer).items():
            mask = load_file(folder / f"{case}.safetensors")[f"{layers_path(lm.model)}.{index}.{name}.weight"] != 0
            equal += int(((weight_view(module).cpu() != 0) == mask).sum())
            total += mask.numel()
    assert equal >= 0.9999 * total


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_hessian_of_any_type_is_summed_in_float32(dtype):
    inputs = torch.randn(4, 512, 300, generator=torch.Generator().manual_seed(0)).to(dtype)
    hessian = Hessian(300, torch.device("cuda"))
    for window in inputs:
        hessian.add(window.cuda(), 1)
    rows = inputs.double().flatten(0, 1)
    torch.testing.assert_close(hessian.matrix().cpu().double(), rows.T @ rows * 2 / 4, rtol=1e-5, atol=1e-3)
