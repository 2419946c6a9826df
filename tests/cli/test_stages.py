"""The commands `prune`, `evaluate` and `attribute`: their output, and errors for bad input."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from prunescope.jobs.specs import PruneSpec, parse_spec
from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.loading import load
from prunescope.outputs import resumed_folder
from prunescope.running import unfinished_key
from prunescope.store.attributions.activations import ActivationStore
from tests.cli.conftest import TEXT, Command, refused
from tests.worker.test_resume import contents

WANDA = ("--method", "wanda", "--samples", 4, "--seqlen", 16)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_prune_attribute_evaluate(command: Command, models: Path, tmp_path: Path) -> None:
    calibration = ("--calibration", models / "calibration.jsonl")
    made = command("prune", models / "llama", *WANDA, "--pattern", "2:4", *calibration, "--output", "deep/in/pruned")
    assert made.exit_code == 0, made.stderr
    assert "wanda · calibration.jsonl 4x16 · 2:4, 50.00% zeros" in made.stdout
    assert "layer 2/2  50.0% zeros" in made.stderr
    pruned = load(tmp_path / "deep" / "in" / "pruned")
    assert pruned.dtype == torch.float16
    for layer in decoder_layers(pruned.model):
        for module in linears(layer).values():
            assert float((weight_view(module) == 0).float().mean()) == 0.5
    assert json.loads((tmp_path / "deep/in/pruned/pruning.json").read_text())["spec"]["pattern"]["m"] == 4

    variants = ("--dense", models / "llama", "--pruned", "deep/in/pruned")
    options = ("--permutations", 0, "--layers", "1", "--floor", 0.5, "--special-tokens", "--output", "group")
    attributed = command("attribute", *variants, "--texts", models / "texts.jsonl", *options)
    assert attributed.exit_code == 0, attributed.stderr
    assert "2:4: top neurons" in attributed.stdout
    store = ActivationStore(tmp_path / "group")
    assert store.tables["layers"] == [1] and store.spec["words"] == {"source": "manual"}
    assert store.examples[0]["text"] == TEXT
    summary = store.tables["summary"]
    assert (summary["floor"], summary["special_tokens"]) == (0.5, True)
    assert summary["counted_tokens"] == summary["tokens"] - summary["sink_tokens"] and summary["unranked"] >= 31

    causal = ("--causal", "reviews", "--causal-limit", 3, "--causal-draws", 2, "--causal-neurons", 4)
    asked = command("attribute", *variants, "--texts", models / "texts.jsonl", *causal, "--output", "causal")
    assert asked.exit_code == 0, asked.stderr
    assert "without the top neurons" in asked.stderr and "with the weights of random ones" in asked.stderr
    found = ActivationStore(tmp_path / "causal").tables["causal"]
    assert (found["rows"], found["draws"], found["neurons"], found["task"]) == (3, 2, 4, "reviews")

    measured = command("evaluate", "deep/in/pruned", "--tasks", "reviews", "--limit", 4, "--json", "result.json")
    assert measured.exit_code == 0, measured.stderr
    assert "of 4 rows" in measured.stdout
    document = json.loads((tmp_path / "result.json").read_text())
    assert document["model"] == "deep/in/pruned"
    assert {"accuracy", "rows", "interval", "chance", "version", "prompt_hash"} <= set(document["tasks"]["reviews"])
    assert "examples" not in document["tasks"]["reviews"]
    assert left(tmp_path) == ["causal", "deep", "group", "result.json"]


def test_a_task_set_with_one_example_in_each_window(command: Command, models: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "calibration").mkdir(parents=True)
    rows = [{"sentence": TEXT[: 12 + number], "label": number % 2} for number in range(8)]
    (data / "calibration" / "sst2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    single = ("--calibration", "sst2", "--calibration-mode", "single", "--samples", 6, "--data", data)
    made = command("prune", models / "llama", "--method", "wanda", "--sparsity", 0.5, *single, "--output", "out")
    assert made.exit_code == 0, made.stderr
    assert "wanda · sst2 single 6 windows · 0.5" in made.stdout
    document = json.loads((tmp_path / "out" / "pruning.json").read_text())
    found = document["calibration"]
    assert (found["source"], found["mode"], found["samples"]) == ("sst2", "single", 6)
    assert found["seqlen"] < found["tokens"] < 6 * found["seqlen"]
    more = command(
        "prune", models / "llama", "--method", "wanda", "--sparsity", 0.5, *single, "--samples", 9, "--output", "more"
    )
    refused(more, "9 windows", "there are 8 different ones", "at most 8")


def test_magnitude_asks_for_no_calibration_and_ignores_one(command: Command, models: Path, tmp_path: Path) -> None:
    for number, more in enumerate(((), ("--calibration", "c4", "--samples", 3))):
        options = ("--method", "magnitude", "--sparsity", 0.25, *more, "--output", f"out{number}")
        assert command("prune", models / "llama", *options).exit_code == 0
    spec = json.loads((tmp_path / "out1" / "pruning.json").read_text())["spec"]
    assert spec["calibration"] is None
    first, second = (load(tmp_path / name).model.state_dict() for name in ("out0", "out1"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "wandaa", "--sparsity", 0.5, "--calibration", "c4"), ("'wandaa'", "did you mean 'wanda'")),
        (("--method", "magnitude", "--sparsity", 1.5), ("1.5", "[0, 1)")),
        (("--method", "magnitude", "--pattern", "5:4"), ("5:4", "n must be smaller than m")),
        (("--method", "magnitude", "--pattern", "half"), ("half",)),
        (("--method", "magnitude", "--pattern", "2:5"), ("32 columns", "groups of 5", "take an m that divides 32")),
        (("--method", "magnitude"), ("--sparsity 0.5", "--pattern 2:4")),
        (("--method", "magnitude", "--pattern", "2:4", "--sparsity", 0.5), ("either",)),
        (("--method", "wanda", "--sparsity", 0.5), ("wanda needs a calibration set",)),
        (("--method", "wanda", "--sparsity", 0.5, "--calibration", "c44"), ("'c44'", "did you mean 'c4'", "wikitext2")),
        (("--method", "wanda", "--sparsity", 0.5, "--calibration", "none.jsonl"), ("none.jsonl",)),
        (("--method", "wanda", "--sparsity", 0.5, "--calibration", "demo", "--seqlen", 4096), ("4096", "128")),
        (
            ("--method", "wanda", "--sparsity", 0.5, "--calibration", "c4", "--calibration-mode", "single"),
            ("c4 is not a set of examples", "'single'", "leave it out"),
        ),
        (
            ("--method", "wanda", "--sparsity", 0.5, "--calibration", "demo", "--option", "power=2"),
            ("'power'", "known"),
        ),
        (("--method", "magnitude", "--sparsity", 0.5, "--option", "power"), ("key=value",)),
        (("--method", "magnitude", "--sparsity", 0.5, "--device", "tpu"), ("'tpu'", "cuda")),
        (("--method", "magnitude", "--sparsity", 0.5, "--device", "cuda:99"), ("cuda:99",)),
        (("--method", "magnitude", "--sparsity", 0.5, "--dtype", "int3"), ("int3", "float32")),
        (("--method", "magnitude", "--sparsity", "much"), ("--sparsity", "valid number")),
        (("--sparsity", 0.5), ("--method",)),
    ],
)
def test_prune_refuses(
    command: Command, models: Path, tmp_path: Path, arguments: tuple[object, ...], said: tuple[str, ...]
) -> None:
    refused(command("prune", models / "llama", *arguments, "--output", "out"), *said)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [("bare", ("safetensors", "save_pretrained")), ("nowhere/at/all", ("no such folder", "hub id"))],
)
def test_a_model_that_cannot_be_read(
    command: Command, models: Path, tmp_path: Path, model: str, said: tuple[str, ...]
) -> None:
    place = models / model
    refused(command("prune", place, "--method", "magnitude", "--sparsity", 0.5, "--output", "out"), *said)
    refused(command("evaluate", place, "--tasks", "reviews", "--json", "out.json"), *said)
    variants = ("--dense", place, "--pruned", models / "llama")
    refused(command("attribute", *variants, "--texts", models / "texts.jsonl", "--output", "out"), *said)
    assert left(tmp_path) == []


def test_a_hub_id_without_a_network(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "prunescope.cli",
            "evaluate",
            "nobody/nothing",
            "--tasks",
            "reviews",
            "--json",
            "out.json",
        ],
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("prunescope: nobody/nothing") and "hub cannot be reached" in last and "local folder" in last
    assert "Traceback" not in result.stderr
    assert "out.json" not in left(tmp_path)


def test_an_output_that_holds_something_is_left_alone(command: Command, models: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dear").write_text("data")
    (tmp_path / "file").write_text("data")
    magnitude = ("--method", "magnitude", "--sparsity", 0.5)
    for output in ("out", "file"):
        refused(command("prune", models / "llama", *magnitude, "--output", output), output, "choose another --output")
        variants = ("--dense", models / "llama", "--pruned", models / "bare", "--texts", models / "texts.jsonl")
        refused(command("attribute", *variants, "--output", output), "choose another --output")
    assert left(tmp_path) == ["file", "out"] and left(tmp_path / "out") == ["dear"]
    (tmp_path / "out" / "dear").unlink()
    assert command("prune", models / "llama", *magnitude, "--output", "out").exit_code == 0


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ('{"text": ""}', (), ("text", "empty")),
        ('{"text": "   "}', (), ("empty",)),
        ('{"text": "a bad room", "words": ["good"]}', (), ("'good' is not in the text",)),
        ('{"text": "a bad room"}', ("--words", "manual"), ("has no words",)),
        ('{"text": "a bad room"}', ("--words", "magic"), ("'magic'", "occlusion")),
        ('{"text": "a bad room"}', ("--words", "occlusion", "--prompt", "arc_easy"), ("label",)),
        ('{"text": "a bad room"}', ("--prompt", "sst3"), ("'sst3'", "'sst2'")),
        ('{"text": "a bad room"}', ("--activation", "gelu"), ("'gelu'", "relu")),
        ('{"text": "a bad room", "words": ["bad"]}', ("--layers", "7"), ("layer 7", "0 to 1")),
        ('{"text": "a bad room", "words": ["bad"]}', ("--layers", "a"), ("--layers",)),
        ('{"text": "a bad room", "words": ["bad"]}', ("--causal", "sst"), ("'sst'", "sst2")),
        ('{"text": "a bad room", "words": ["bad"]}', ("--causal-draws", 5), ("--causal-draws needs --causal",)),
        (
            '{"text": "a bad room", "words": ["bad"]}',
            ("--causal", "sst2", "--causal-layers", "a"),
            ("--causal-layers",),
        ),
        (
            '{"text": "a bad room", "words": ["bad"]}',
            ("--causal", "reviews", "--causal-neurons", 65),
            ("65 top neurons", "at most 64"),
        ),
        ('{"txt": "a bad room"}', (), ("line 1", "'text'")),
        ('\n{"text": "a bad room", "label": 0}', (), ("texts.jsonl, line 2", "field 'label' is 0, not a text")),
        ('{"text": "bad", "words": "bad"}', (), ("texts.jsonl, line 1", "'words' is 'bad', not a list of texts")),
        ('{"text": "bad", "words": [1]}', (), ("texts.jsonl, line 1", "'words' is [1], not a list of texts")),
        ('{"text": ["bad"]}', (), ("texts.jsonl, line 1", "'text' is ['bad'], not a text")),
        ('{"text": "a\tbad room"}', (), ("line 1", "not JSON (Invalid control character at column 12)")),
        ("{", (), ("line 1", "not JSON")),
        ("", (), ("no rows",)),
    ],
)
def test_attribute_refuses(
    command: Command, models: Path, tmp_path: Path, rows: str, options: tuple[str, ...], said: tuple[str, ...]
) -> None:
    (tmp_path / "texts.jsonl").write_text(rows + "\n")
    other = models / "calibration.jsonl"
    made = command("prune", models / "llama", "--method", "magnitude", "--sparsity", 0.5, "--output", "pruned")
    assert made.exit_code == 0 and other.exists()
    variants = ("--dense", models / "llama", "--pruned", "pruned")
    refused(command("attribute", *variants, "--texts", "texts.jsonl", *options, "--output", "out"), *said)
    assert left(tmp_path) == ["pruned", "texts.jsonl"]


def test_texts_that_are_not_there(command: Command, models: Path) -> None:
    variants = ("--dense", models / "llama", "--pruned", models / "bare")
    refused(command("attribute", *variants, "--texts", "none.jsonl", "--output", "out"), "none.jsonl", "No such file")


def test_perplexity_and_cut_rows_are_printed_and_written(command: Command, models: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(TEXT * 60)
    (tmp_path / "data" / "eval").mkdir(parents=True)
    long = json.dumps({"sentence": "so " * 300, "label": 0})
    (tmp_path / "data" / "eval" / "sst2.jsonl").write_text(f'{long}\n{{"sentence": "bad", "label": 0}}\n')
    texts = ("--perplexity", "own.txt,demo", "--seqlen", 32, "--windows", 4)
    found = command(
        "evaluate", models / "llama", "--tasks", "sst2", *texts, "--data", tmp_path / "data", "--json", "result.json"
    )
    assert found.exit_code == 0, found.stderr
    first, second, third = found.stdout.splitlines()
    assert first.endswith("chance 50.00%); 1 row lost the beginning of a prompt longer than 128 tokens")
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["tasks"]["sst2"]["truncated"] == 1
    own = written["perplexity"]["own.txt"]
    assert second.startswith(f"own.txt: perplexity {own['perplexity']:.4g} on 4 windows of 32 tokens (95 % interval ")
    assert second.endswith(", from own.txt") and third.endswith(", from demo/reviews.jsonl")
    assert own["tokens"] == 4 * 31 and math.exp(own["nll"]) == own["perplexity"]
    assert "perplexity on own.txt  4/4 windows" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tasks", "sst3"), ("'sst3'", "did you mean 'sst2'")),
        (("--tasks", ","), ("tasks",)),
        ((), ("at least one task, or perplexity",)),
        (("--perplexity", "wikitext"), ("did you mean 'wikitext2'",)),
        (("--perplexity", "own.txt"), ("own.txt", "no such text file")),
        (("--perplexity", "demo", "--seqlen", 129), ("seqlen 129", "128 tokens")),
        (("--tasks", "reviews", "--seqlen", 64), ("--seqlen", "--perplexity")),
        (("--tasks", "reviews", "--limit", 0), ("--limit", "1")),
        (("--tasks", "reviews", "--json", "nowhere/result.json"), ("nowhere/result.json",)),
        (("--tasks", "reviews", "--data", "nowhere"), ("nowhere", "does not exist")),
    ],
)
def test_evaluate_refuses(
    command: Command, models: Path, tmp_path: Path, arguments: tuple[object, ...], said: tuple[str, ...]
) -> None:
    refused(command("evaluate", models / "llama", *arguments), *said)
    assert left(tmp_path) == []


def pruning(*arguments: str | Path) -> "subprocess.Popen[str]":
    """`prunescope prune` in a process of its own, its standard error to be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "prunescope.cli", "prune", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """A shell that runs the tests in the background has them, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(models: Path, tmp_path: Path, number: signal.Signals) -> None:
    arguments = [
        "--method",
        "wanda",
        "--pattern",
        "2:4",
        "--calibration",
        "demo",
        "--samples",
        "32000",
        "--seqlen",
        "128",
    ]
    with pruning(models / "llama", *arguments, "--output", tmp_path / "out") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("calibration"):
                break
        time.sleep(0.2)
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(120) == 1
    assert rest.splitlines()[-1] == "prunescope: stopped; nothing was written"
    assert left(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_goes_on_from_the_last_layer(
    command: Command, models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    calibration = ["--calibration", models / "calibration.jsonl", "--samples", "2000", "--seqlen", "64"]
    arguments = [models / "llama", "--method", "wanda", "--pattern", "2:4", *calibration]
    output = tmp_path / "out"
    with pruning(*arguments, "--output", output) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("layer 1/2"):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(120) == (1 if number == signal.SIGINT else -number)
    (hidden,) = left(tmp_path)
    assert hidden.startswith(".out.") and hidden.endswith(".unfinished")
    if number == signal.SIGINT:
        assert f"finished layers are kept in {tmp_path / hidden}" in rest.splitlines()[-1]

    resumed = command("prune", *arguments, "--output", output)
    assert resumed.exit_code == 0, resumed.stderr
    assert "1 of 2 layers resumed from an earlier run" in resumed.stdout and "layer 1/2  restored" in resumed.stderr
    assert left(tmp_path) == ["out"]
    undisturbed = command("prune", *arguments, "--output", "other")
    assert undisturbed.exit_code == 0 and "earlier run" not in undisturbed.stdout
    assert contents(output) == contents(tmp_path / "other")


def test_bad_input_after_an_interrupt_leaves_nothing(command: Command, models: Path, tmp_path: Path) -> None:
    magnitude = (models / "llama", "--method", "magnitude", "--pattern", "2:5", "--output", tmp_path / "out")
    refused(command("prune", *magnitude), "groups of 5")
    assert left(tmp_path) == []


def test_two_commands_that_make_the_same(command: Command, models: Path, tmp_path: Path) -> None:
    magnitude = ("--method", "magnitude", "--sparsity", "0.5")
    spec = parse_spec("prune", {"model": str(models / "llama"), "method": "magnitude", "pattern": 0.5})
    assert isinstance(spec, PruneSpec)
    output = tmp_path / "out"
    with resumed_folder(output, unfinished_key(output, spec)):
        refused(command("prune", models / "llama", *magnitude, "--output", output), "another process is writing")
        assert not output.exists()
    assert output.is_dir()
