"""llm-compressor's side of the benchmark; runs in its own environment, without this project.

Each line of JSON on standard input requests one pruning, and a line on standard output returns its seconds:

    {"model": folder, "windows": file with input_ids, "batch": 16, "threads": 2, "clock": "wall" | "cpu",
     "method": "wanda" | "sparsegpt", "sparsity": 0.5, "structure": "0:0" | "2:4",
     "output": file, "kept": ["model.layers.0.", ...]}

Loading the model and writing the answer's weights (those whose names start with one of `kept`) are not timed.
"""

import json
import os
import sys
import time
import traceback
from typing import Any

# Standard output is for answers only; everything that libraries print goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import torch  # noqa: E402
from llmcompressor import oneshot  # noqa: E402
from llmcompressor.modifiers.pruning import SparseGPTModifier, WandaPruningModifier  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer, models  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast  # noqa: E402

MODIFIERS = {"wanda": WandaPruningModifier, "sparsegpt": SparseGPTModifier}


def run(request: dict[str, Any]) -> float:
    torch.set_num_threads(request["threads"])
    windows = load_file(request["windows"])["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype="auto").eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # into memory, so that the file is not read while time is measured
    # oneshot requires a tokenizer if there is data, although these are tokens already.
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    recipe = MODIFIERS[request["method"]](
        sparsity=request["sparsity"], mask_structure=request["structure"], ignore=["re:.*lm_head"]
    )
    rows: Any = [{"input_ids": window} for window in windows]  # any sequence is a dataset
    loader: Any = DataLoader(rows, batch_size=request["batch"])
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[request["clock"]]
    began = clock()
    oneshot(model=model, tokenizer=tokenizer, dataset=loader, recipe=recipe, num_calibration_samples=len(windows))
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds = clock() - began
    kept = tuple(request["kept"])
    weights = {name: value for name, value in model.state_dict().items() if value.dim() == 2 and name.startswith(kept)}
    save_file({name: value.cpu().contiguous() for name, value in weights.items()}, request["output"])
    return seconds


def main() -> None:
    print(json.dumps({"ready": True}), file=ANSWERS)
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"seconds": run(json.loads(line))}
        except Exception:  # the benchmark shows the error and continues without this case
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=ANSWERS)


if __name__ == "__main__":
    main()
