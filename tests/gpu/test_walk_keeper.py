"""One layer at a time on a GPU: what is kept, what memory it takes, and going on from there."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prunescope.lm.architecture import decoder_layers
from prunescope.pruning.batches import windows_at_once
from prunescope.pruning.patterns import Unstructured
from prunescope.pruning.walk import prune
from tests.models import FAMILIES, tiny
from tests.pruning.test_walk import WINDOWS
from tests.pruning.test_walk_keeper import Shelf

GPU = torch.device("cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_going_on_after_the_first_layer_gives_the_same_bits(family, method, dtype):
    whole = Shelf()
    prune(tiny(family).to(dtype), method, Unstructured(0.5), WINDOWS, keeper=whole, device=GPU, batch=2)
    shelf = whole.first(1)
    model = tiny(family).to(dtype)
    reports = prune(model, method, Unstructured(0.5), WINDOWS, keeper=shelf, device=GPU)
    assert [report.restored for report in reports] == [True, False]
    for index in range(2):
        weights = shelf.kept[index][0]
        assert all(torch.equal(weights[name], tensor) for name, tensor in whole.kept[index][0].items())
    assert model.get_input_embeddings().weight.device.type == "cpu"


def peak(layers: int) -> int:
    config = LlamaConfig(
        vocab_size=1000, hidden_size=512, intermediate_size=1376, num_hidden_layers=layers, num_attention_heads=8
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    windows = torch.randint(0, 1000, (16, 256), generator=torch.Generator().manual_seed(0))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    prune(model, "sparsegpt", Unstructured(0.5), windows, device=GPU, keeper=Shelf())
    return torch.cuda.max_memory_allocated() - before


def test_the_device_holds_one_layer_however_many_there_are():
    peak(2)  # what libraries set up once is no layer's
    few, many = peak(2), peak(12)
    assert many <= few * 1.05


def test_less_free_memory_means_fewer_windows():
    layer = decoder_layers(tiny("llama"))[0]
    roomy = windows_at_once(layer, 2, GPU, torch.float16, visits=True)
    assert roomy == 8192
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(int(free - 2**24), dtype=torch.uint8, device=GPU)
    assert windows_at_once(layer, 2, GPU, torch.float16, visits=True) < roomy
    del taken
