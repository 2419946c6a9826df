"""Inputs with one thing wrong, as tables: a name, and how to break it. Another input is another line here.

Every table is walked through all commands that take such an input (test_commands.py), and its models and rows through
REST and the stages of a worker too (test_jobs.py).
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

DEEP = 5000
"""Levels of what is nested too deep for a parser that calls itself."""

LONG_NAME = "n" * 300
"""A name longer than a file system takes."""

Break = Callable[[Path], object]


def _json(name: str, **changes: object) -> Break:
    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**document, **changes}))

    return change


def _file(name: str, contents: bytes | str) -> Break:
    return lambda folder: (folder / name).write_bytes(contents.encode() if isinstance(contents, str) else contents)


def _nested(name: str) -> Break:
    return _file(name, '{"a":' + "[" * DEEP + "]" * DEEP + "}")


def _replaced(name: str, make: Callable[[Path], object]) -> Break:
    def replace(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return replace


def _cut(name: str, size: int) -> Break:
    return lambda folder: os.truncate(folder / name, size)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere-at-all")


MODELS: Mapping[str, Break] = {
    "config is empty": _file("config.json", ""),
    "config is no JSON": _file("config.json", "{"),
    "config is a list": _file("config.json", "[]"),
    "config is null": _file("config.json", "null"),
    "config is nested deep": _nested("config.json"),
    "config is not UTF-8": _file("config.json", b"\xff\xfe{}"),
    "config has a huge number": _file("config.json", '{"model_type": "llama", "hidden_size": ' + "9" * 5000 + "}"),
    "config of an unknown type": _json("config.json", model_type="frobnicator", architectures=["FrobForCausalLM"]),
    "config type is a number": _json("config.json", model_type=3),
    "config width is a text": _json("config.json", hidden_size="wide"),
    "config width is zero": _json("config.json", hidden_size=0),
    "config width is another": _json("config.json", hidden_size=48),
    "config heads are zero": _json("config.json", num_attention_heads=0),
    "config layers are huge": _json("config.json", num_hidden_layers=3),
    "config layers are negative": _json("config.json", num_hidden_layers=-1),
    "config activation is unknown": _json("config.json", hidden_act="frob"),
    "config dtype is unknown": _json("config.json", dtype="float7", torch_dtype="float7"),
    "config rope is unknown": _json("config.json", rope_scaling={"rope_type": "frob"}, rope_parameters=3),
    "config context is a text": _json("config.json", max_position_embeddings="long"),
    "config is a folder": _replaced("config.json", Path.mkdir),
    "config is a pipe": _replaced("config.json", os.mkfifo),
    "config is a dangling link": _replaced("config.json", _dangling),
    "generation config is no JSON": _file("generation_config.json", "{"),
    "weights are empty": _file("model.safetensors", ""),
    "weights are cut in the header": _cut("model.safetensors", 100),
    "weights are cut in the data": _cut("model.safetensors", 20_000),
    "weights are text": _file("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    "weights have a deep header": _file(
        "model.safetensors", (2 * DEEP + 5).to_bytes(8, "little") + b'{"a":' + b"[" * DEEP + b"]" * DEEP
    ),
    "weights are a folder": _replaced("model.safetensors", Path.mkdir),
    "weights are a pipe": _replaced("model.safetensors", os.mkfifo),
    "weights are a dangling link": _replaced("model.safetensors", _dangling),
    "index is nested deep": lambda folder: (
        (folder / "model.safetensors").unlink(),
        _nested("model.safetensors.index.json")(folder),
    ),
    "index maps to numbers": lambda folder: (
        (folder / "model.safetensors").unlink(),
        _file("model.safetensors.index.json", '{"weight_map": {"a": 3}}')(folder),
    ),
    "tokenizer is no JSON": _file("tokenizer.json", "{"),
    "tokenizer is nested deep": _nested("tokenizer.json"),
    "tokenizer is a list": _file("tokenizer.json", "[]"),
    "tokenizer is not UTF-8": _file("tokenizer.json", b"\xff"),
    "tokenizer is a folder": _replaced("tokenizer.json", Path.mkdir),
    "tokenizer config is no JSON": _file("tokenizer_config.json", "{"),
    "tokenizer config is nested deep": _nested("tokenizer_config.json"),
    "tokenizer config is a list": _file("tokenizer_config.json", "[]"),
    "tokenizer class is unknown": _json("tokenizer_config.json", tokenizer_class="FrobTokenizer"),
    "tokenizer class is a number": _json("tokenizer_config.json", tokenizer_class=3),
}
"""Of a folder with a model of the Llama family: what is done to it. It has to be refused, or to work all the same."""

ROWS: Mapping[str, bytes] = {
    "empty": b"",
    "blank lines": b"\n\n  \n",
    "no JSON": b"{\n",
    "two objects in a line": b'{"text": "a"} {"text": "b"}\n',
    "a list": b'["text"]\n',
    "a number": b"3\n",
    "a text": b'"text"\n',
    "no text": b'{"txt": "a bad room"}\n',
    "text is a number": b'{"text": 3}\n',
    "text is null": b'{"text": null}\n',
    "text is empty": b'{"text": ""}\n',
    "text is a list": b'{"text": ["a bad room"]}\n',
    "not UTF-8": b'{"text": "a b\xe4d room"}\n',
    "UTF-16": '{"text": "a bad room"}\n'.encode("utf-16"),
    "nested deep": b'{"text": ' + b"[" * DEEP + b"]" * DEEP + b"}\n",
    "objects nested deep": b'{"text": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}\n",
    "a number of 5,000 digits": b'{"text": ' + b"9" * 5000 + b"}\n",
    "null bytes": b"\x00" * 64,
    "a zip file": b"PK\x03\x04" + bytes(range(256)),
}
"""JSON lines that are none, or have no usable text."""

YAML: Mapping[str, bytes] = {
    "empty": b"",
    "tabs": b"kind: prune\nspec:\n\tmodel: demo\n",
    "a list": b"- kind\n",
    "a text": b"kind\n",
    "not UTF-8": b"kind: \xff\n",
    "UTF-16 without a mark": "kind: prune".encode("utf-16-le"),
    "null bytes": b"kind: \x00\n",
    "an open bracket": b"kind: [\n",
    "an unknown alias": b"kind: *a\n",
    "a key twice": b"kind: prune\nkind: evaluate\nspec: {model: demo}\n",
    "flow nested deep": b"kind: prune\nspec: " + b"[" * DEEP + b"]" * DEEP + b"\n",
    "blocks nested deep": b"".join(b" " * level + b"a:\n" for level in range(800)),
    "a bomb of aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n".encode() for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "a chain of aliases": b"kind: prune\nspec:\n  a0: &a0 [x]\n"
    + b"".join(f"  a{n}: &a{n} [*a{n - 1}]\n".encode() for n in range(1, 2000)),
    "contains itself": b"kind: prune\nspec: &a {model: *a}\n",
    "a Python object": b"kind: !!python/object/apply:os.system [true]\nspec: {}\n",
    "a wrong truth": b"kind: prune\nspec: {model: !!bool x}\n",
    "a wrong number": b"kind: prune\nspec: {model: !!int x}\n",
    "bytes": b"kind: prune\nspec: {model: !!binary aGk=}\n",
    "a set": b"kind: prune\nspec: {model: !!set {a, b}}\n",
    "a list as key": b"kind: prune\nspec: {? [a] : b}\n",
    "a number as key": b"kind: prune\nspec: {1: b}\n",
    "not a number": b"kind: prune\nspec: {model: demo, pattern: .nan}\n",
    "infinite": b"kind: prune\nspec: {model: demo, pattern: .inf}\n",
    "5,000 digits": b"kind: prune\nspec: {model: demo, pattern: " + b"9" * 5000 + b"}\n",
    "an unknown kind": b"kind: prun\nspec: {}\n",
    "a spec that is a list": b"kind: prune\nspec: []\n",
    "two documents": b"kind: prune\n---\nkind: prune\n",
}
"""A file for `submit` that is no job. No server is asked."""

PRUNE_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "exponent nan": ("--option", "exponent=nan"),
    "exponent .nan": ("--option", "exponent=.nan"),
    "exponent inf": ("--option", "exponent=inf"),
    "exponent 1e400": ("--option", "exponent=1e400"),
    "exponent of 5,000 digits": ("--option", f"exponent={'9' * 5000}"),
    "exponent nested deep": ("--option", f"exponent={'[' * DEEP}"),
    "exponent is a date": ("--option", "exponent=2024-99-99"),
    "exponent is an alias": ("--option", "exponent=*a"),
    "exponent is a null byte": ("--option", "exponent=\0"),
    "subgroups 10^30": ("--option", f"subgroups={10**30}"),
    "an option that is not UTF-8": ("--option", "exponent=\udcff"),
    "an option's name that is not UTF-8": ("--option", "\udcff=1"),
    "sparsity nan": ("--sparsity", "nan"),
    "sparsity inf": ("--sparsity", "inf"),
    "sparsity 1e400": ("--sparsity", "1e400"),
    "sparsity -0.1": ("--sparsity", "-0.1"),
    "samples 10^23": ("--samples", 10**23),
    "samples 0": ("--samples", 0),
    "seqlen 10^23": ("--seqlen", 10**23),
    "seed -1": ("--seed", -1),
    "seed 10^30": ("--seed", 10**30),
    "seed of 5,000 digits": ("--seed", "9" * 5000),
    "calibration does not exist": ("--calibration", "none.jsonl"),
    "calibration is a folder": ("--calibration", "folder.jsonl"),
    "calibration is a pipe": ("--calibration", "pipe.jsonl"),
    "calibration is a socket": ("--calibration", "socket.jsonl"),
    "calibration is a device": ("--calibration", "/dev/zero"),
    "calibration is a dangling link": ("--calibration", "dangling.jsonl"),
    "calibration is a loop of links": ("--calibration", "loop.jsonl"),
    "calibration has a long name": ("--calibration", f"{LONG_NAME}.jsonl"),
    "calibration has a null byte": ("--calibration", "a\0b.jsonl"),
    "calibration is not UTF-8": ("--calibration", "\udcff.jsonl"),
    "calibration of nobody's home": ("--calibration", "~nosuchuser/x.jsonl"),
    "calibration is no safetensors": ("--calibration", "text.safetensors"),
}
"""Beside a working command (RIA, half of the weights): options whose value cannot be."""

EVALUATE_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "limit 10^23": ("--limit", 10**23),
    "limit of 5,000 digits": ("--limit", "9" * 5000),
    "limit 0": ("--limit", 0),
    "limit -1": ("--limit", -1),
    "seed 10^30": ("--seed", 10**30),
    "newline": ("--newline", "frob"),
    "a task that is not UTF-8": ("--tasks", "\udcff"),
    "a task with a null byte": ("--tasks", "a\0b"),
    "seqlen 10^23": ("--perplexity", "demo", "--seqlen", 10**23),
    "windows 10^23": ("--perplexity", "demo", "--windows", 10**23),
    "perplexity of a folder": ("--perplexity", "folder.jsonl"),
    "perplexity of a pipe": ("--perplexity", "pipe.jsonl"),
    "perplexity of a socket": ("--perplexity", "socket.jsonl"),
    "perplexity of a dangling link": ("--perplexity", "dangling.jsonl"),
    "perplexity of a loop of links": ("--perplexity", "loop.jsonl"),
    "perplexity of a long name": ("--perplexity", f"{LONG_NAME}.txt"),
    "perplexity of a null byte": ("--perplexity", "a\0b.txt"),
    "perplexity of nobody's home": ("--perplexity", "~nosuchuser/x.txt"),
}
"""Beside a working command (the reviews): options whose value cannot be."""

ATTRIBUTE_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "layers 10^21": ("--layers", f"0,{10**21}"),
    "layers of 5,000 digits": ("--layers", "9" * 5000),
    "layers -1": ("--layers", "-1"),
    "floor nan": ("--floor", "nan"),
    "floor 1e400": ("--floor", "1e400"),
    "permutations 10^23": ("--permutations", 10**23),
    "causal limit of 5,000 digits": ("--causal", "reviews", "--causal-limit", "9" * 5000),
    "causal draws 10^23": ("--causal", "reviews", "--causal-draws", 10**23),
    "causal neurons 10^23": ("--causal", "reviews", "--causal-neurons", 10**23),
    "causal layers 10^21": ("--causal", "reviews", "--causal-layers", 10**21),
    "seed 10^30": ("--seed", 10**30),
    "prompt that is not UTF-8": ("--prompt", "\udcff"),
    "texts in a folder": ("--texts", "folder.jsonl"),
    "texts in a pipe": ("--texts", "pipe.jsonl"),
    "texts in a socket": ("--texts", "socket.jsonl"),
    "texts in a device": ("--texts", "/dev/zero"),
    "texts in a dangling link": ("--texts", "dangling.jsonl"),
    "texts in a loop of links": ("--texts", "loop.jsonl"),
    "texts with a long name": ("--texts", LONG_NAME),
    "texts with a null byte": ("--texts", "a\0b"),
    "texts of nobody's home": ("--texts", "~nosuchuser/x"),
    "no texts": ("--texts", ""),
}
"""Beside a working command: options whose value cannot be."""

EVERY_STAGE: Mapping[str, tuple[object, ...]] = {
    "device cuda:10^20": ("--device", f"cuda:{10**20}"),
    "device cuda:999": ("--device", "cuda:999"),
    "device cuda:-1": ("--device", "cuda:-1"),
    "device of other digits": ("--device", "cuda:\u0661"),
    "device that is not UTF-8": ("--device", "\udcff"),
    "dtype": ("--dtype", "float7"),
    "dtype with a null byte": ("--dtype", "float32\0"),
    "data has a null byte": ("--data", "a\0b"),
    "data of nobody's home": ("--data", "~nosuchuser"),
    "no data": ("--data", ""),
}
"""Options that prune, evaluate and attribute have."""

REFERENCES: Mapping[str, str] = {
    "nothing": "",
    "blank": "  ",
    "null byte": "a\0b",
    "not UTF-8": "\udcff",
    "long name": LONG_NAME,
    "long path": "a/" * 3000,
    "nobody's home": "~nosuchuser/model",
    "dangling link": "dangling.jsonl",
    "loop of links": "loop.jsonl",
    "file": "text.safetensors",
    "pipe": "pipe.jsonl",
    "empty folder": "folder.jsonl",
    "below a file": "text.safetensors/model",
    "no pruned model": "pruned:0123456789abcdef",
    "pruned without a number": "pruned:",
    "line break": "a\nb",
    "escape": "\x1b[31mred",
    "parent of everything": "/",
    "process files": "/proc/self/fd",
}
"""Names that no model has."""

SETTINGS: Mapping[str, tuple[str, str]] = {
    "host that is not UTF-8": ("HOST", "\udcff"),
    "home of nobody": ("HOME", "~nosuchuser/data"),
    "home that is not UTF-8": ("HOME", "\udcff"),
    "port": ("PORT", "http"),
    "port 10^23": ("PORT", str(10**23)),
    "lease nan": ("LEASE_SECONDS", "nan"),
    "lease inf": ("LEASE_SECONDS", "inf"),
    "lease 1e400": ("LEASE_SECONDS", "1e400"),
    "lease 1e30": ("LEASE_SECONDS", "1e30"),
    "sweep -1": ("SWEEP_SECONDS", "-1"),
    "roots nested deep": ("MODEL_ROOTS", "[" * DEEP),
    "roots of nobody": ("MODEL_ROOTS", "~nosuchuser"),
    "roots of numbers": ("MODEL_ROOTS", "[1, 2]"),
    "hosts are no list": ("ALLOWED_HOSTS", "[1"),
    "data of nobody": ("DATA", "~nosuchuser"),
    "device": ("DEVICE", "tpu"),
    "dtype": ("DTYPE", "int3"),
    "artefacts of nobody": ("ARTEFACTS_URL", "file://~nosuchuser/x"),
    "database of nobody": ("DATABASE_URL", "sqlite:///~nosuchuser/x.db"),
    "redis of nobody": ("REDIS_URL", "unix://~nosuchuser/x.sock"),
}
"""Variables of the environment (PRUNESCOPE_...) whose value cannot be, whatever the command."""

SERVICES: Mapping[str, tuple[str, str]] = {
    "database is no address": ("DATABASE_URL", "frob"),
    "database of an unknown kind": ("DATABASE_URL", "frob://x/y"),
    "database without a driver": ("DATABASE_URL", "oracle://x/y"),
    "database port": ("DATABASE_URL", "postgresql://x:frob/y"),
    "database does not answer": ("DATABASE_URL", "postgresql://127.0.0.1:9/x"),
    "database in a file's place": ("DATABASE_URL", "sqlite:////dev/null/x.db"),
    "database is a folder": ("DATABASE_URL", "sqlite:////"),
    "redis is no address": ("REDIS_URL", "frob"),
    "redis port": ("REDIS_URL", "redis://x:frob/0"),
    "artefacts of an unknown kind": ("ARTEFACTS_URL", "frob://x"),
    "artefacts without a driver": ("ARTEFACTS_URL", "abfs://x/y"),
    "artefacts in a file's place": ("ARTEFACTS_URL", "/dev/null/x"),
    "home in a file's place": ("HOME", "/dev/null/x"),
    "home is a file": ("HOME", "text.safetensors"),
    "home with a long name": ("HOME", LONG_NAME),
    "home is a loop of links": ("HOME", "loop.jsonl"),
    "host with a long name": ("HOST", LONG_NAME),
    "host that is none": ("HOST", "256.256.256.256"),
}
"""Variables whose value only shows when up, server or worker starts."""


def litter(folder: Path) -> None:
    """Put into `folder` what the tables name: a folder, a pipe, a socket, links."""
    (folder / "folder.jsonl").mkdir()
    os.mkfifo(folder / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path is short
        unix.bind("socket.jsonl")
        os.chdir(here)
    (folder / "dangling.jsonl").symlink_to("nowhere-at-all")
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    (folder / "text.safetensors").write_text("text")
