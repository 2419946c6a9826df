"""The walk on a GPU: the same masks, with the model there or visiting it layer by layer."""

import pytest
import torch
from safetensors.torch import load_file

from lm.architecture import decoder_layers, layers_path, linears, weight_view
from lm.loading import load
from pruning.patterns import NofM, Unstructured
from pruning.walk import prune

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    ("case", "method", "pattern"),
    [
        ("magnitude-0.5", "magnitude", Unstructured(0.5)),
        ("magnitude-2_4", "magnitude", NofM(2, 4)),
        ("wanda-0.5", "wanda", Unstructured(0.5)),
        ("wanda-2_4", "wanda", NofM(2, 4)),
        ("wanda-4_8", "wanda", NofM(4, 8)),
    ],
)
@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_masks_equal_the_authors_on_a_gpu(shared, architecture, case, method, pattern, resident):
    folder = shared / "reference_masks" / architecture
    lm = load(folder / "dense", device="cuda", resident=resident)
    assert next(lm.model.parameters()).device.type == ("cuda" if resident else "cpu")
    prune(lm.model, method, pattern, load_file(folder / "calibration.safetensors")["input_ids"], device=lm.device)
    equal = total = 0
    for index, layer in enumerate(decoder_layers(lm.model)):
        for name, module in linears(layer).items():
            mask = load_file(folder / f"{case}.safetensors")[f"{layers_path(lm.model)}.{index}.{name}.weight"]
            equal += int(((weight_view(module).cpu() != 0) == mask).sum())
            total += mask.numel()
    assert equal >= 0.9999 * total
