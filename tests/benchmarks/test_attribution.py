"""The attribution benchmark at a small size: it runs and its report is complete; speed is not tested."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.attribution import PARTS, main
from benchmarks.budgets import attribution_checked
from benchmarks.made_attribution import PRUNED, Activations, Size, make, prepared, reviews
from benchmarks.serving import Client, open_loop
from prunescope.lm.loading import load
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.recording import batches
from prunescope.store.attributions.activations import ActivationStore

SMALL = Size(layers=2, neurons=48, texts=3, tokens=40, permutations=20)


@pytest.fixture(scope="module")
def tokenizer():
    return load("demo", device="cpu").tokenizer


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to read a process's memory")
def test_a_run_measures_every_part_and_writes_tables(tmp_path, capsys):
    document = tmp_path / "results.md"
    document.write_text("# Results\n\n<!-- attribution cpu -->\nstale\n<!-- end -->\n\nafter\n")
    work, output = tmp_path / "work", tmp_path / "out" / "results.json"
    options = "--shape tiny --device cpu --rounds 2 --layers 2 --neurons 48 --texts 3 --tokens 40 --permutations 20"
    options += " --requests 20 --pages 2 --memory-texts 2 8"
    paths = ["--work", str(work), "--output", str(output), "--document", str(document)]
    main([*options.split(), *paths])
    results = json.loads(output.read_text())
    assert set(PARTS) <= set(results)
    assert "--device cpu --shape tiny --rounds 2 --layers 2 " in results["command"]
    for one in results["recording"].values():
        assert {name: len(found["values"]) for name, found in one["ratios"].items()} == {
            "recording": 2,
            "recording and storing": 2,
        }
        assert all(seconds > 0 for seconds in one["seconds"].values())
        assert one["texts"] == [3, 40] and one["batches"] == 1
    assert results["recording"]["demo"]["shape"] == {"layers": 4, "neurons": 704, "dtype": "float32"}
    size = results["store"]["size"]
    assert (size["layers"], size["neurons"], size["permutations"], size["variants"]) == (2, 48, 20, 2)
    assert set(results["store"]["seconds"]) == {"record", "store", "score", "controls", "compare"}
    for found in (*results["reading"]["documents"].values(), results["reading"]["page"]):
        assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]
    documents = results["reading"]["documents"]
    assert documents["gzip"]["kilobytes"] < documents["identity"]["kilobytes"]
    page = results["reading"]["page"]
    assert page["files"] > 5 and page["sent_kilobytes"] < page["sent_with_files_kilobytes"]
    assert [one["texts"] for one in results["memory"]] == [2, 8]
    assert {budget["met"] for budget in results["budgets"]} <= {True, False}
    assert len(results["budgets"]) == 6
    assert str(tmp_path) not in output.read_text()
    written = document.read_text()
    assert "| choosing controls and" in written
    assert "| document, gzip" in written and "stale" not in written and written.endswith("<!-- end -->\n\nafter\n")
    assert "| document, gzip" in capsys.readouterr().out
    assert [path.name for path in work.iterdir()] == ["models"]


def test_some_parts_have_a_mark_of_their_own(tmp_path):
    document = tmp_path / "results.md"
    document.write_text("<!-- attribution cpu -->\nkept\n<!-- end -->\n<!-- attribution store cpu -->\n<!-- end -->\n")
    small = "--device cpu --layers 2 --neurons 48 --texts 3 --tokens 40 --placebo 20"
    main(["--parts", "store", *small.split(), "--work", str(tmp_path / "work"), "--document", str(document)])
    written = document.read_text()
    assert "kept" in written and "scoring all neurons with 20 draws of placebo words" in written
    assert "scoring, controls and comparison, s" in written


def test_the_made_up_attribution_is_a_real_one(tmp_path, tokenizer):
    found = make(tmp_path / "made", tokenizer, SMALL, torch.device("cpu"))
    store, drawn, work = ActivationStore(tmp_path / "made"), Activations(SMALL), prepared(tokenizer, SMALL)
    assert (store.layers, store.neurons, store.tokens) == (2, 48, 120)
    values = {name: drawn.of(name, 1)[:, 7].astype(np.float32) for name in (DENSE, PRUNED)}
    for name, row in store.neuron(1, 7).items():
        np.testing.assert_array_equal(row, values[name])
    positive = np.maximum(values[DENSE].astype(np.float64), 0)
    positions = work.positions
    score = positive[positions.influential].sum() / positive[positions.counted].sum()
    assert store.score[1, 7] == pytest.approx(score, rel=1e-5)
    assert store.tables["summary"] == found["summary"] and found["summary"]["permutations"] == 20
    assert np.isfinite(store.array(f"drop/{PRUNED}")).any()
    on_disk = sum(path.stat().st_size for path in (tmp_path / "made").rglob("*") if path.is_file())
    assert sum(found["bytes"].values()) == on_disk
    assert found["bytes_per_neuron_token"] == found["bytes"]["activations"] / (2 * SMALL.values)


def test_texts_have_the_length_asked_for_and_words_that_stand_in_them(tokenizer):
    tokens, texts = reviews(tokenizer, 12, 170)
    assert {len(found.ids) for found in tokens} == {170}
    assert len({text.text for text in texts}) == 12
    assert [len(batch) for batch in batches([found.ids for found in tokens])] == [3, 3, 3, 3]
    work = prepared(tokenizer, SMALL)
    assert all(any(example.influential) for example in work.examples)


def test_layers_differ_and_activations_do_not_change(tokenizer):
    one, other = Activations(SMALL), Activations(SMALL)
    assert np.array_equal(one.of(DENSE, 1), other.of(DENSE, 1))
    assert not np.array_equal(one.of(DENSE, 0), one.of(DENSE, 1))
    assert not np.array_equal(one.of(DENSE, 0), one.of(PRUNED, 0))


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"x" * 500
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests have their own output."""


def test_an_open_loop_ends_with_the_first_refusal():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_address[1]}") as client:
            found = open_loop(client, ["/one"] * 20, 1000, "identity")
            assert found["kilobytes"] == 0.5 and found["p50_ms"] <= found["max_ms"]
            with pytest.raises(RuntimeError, match="/missing: 404"):
                open_loop(client, ["/one", "/missing"], 1000, "identity")
        server.shutdown()


def test_reading_needs_the_store(capsys):
    with pytest.raises(SystemExit):
        main(["--parts", "reading"])
    assert "name both" in capsys.readouterr().err


def test_budgets():
    document = {
        "recording": {
            "small": {"ratios": {"recording": {"median": 1.04}}},
            "demo": {"ratios": {"recording": {"median": 1.2}}},
        },
        "store": {
            "size": {"layers": 32, "neurons": 11008, "permutations": 1000, "placebo": 200},
            "seconds": {"record": 5.0, "store": 90.0, "score": 30.0, "controls": 19.0, "compare": 10.0},
        },
        "reading": {
            "rate": 100.0,
            "documents": {"gzip": {"p95_ms": 30.0}, "identity": {"p95_ms": 20.0}},
            "page": {"sent_with_files_kilobytes": 80.0},
        },
        "memory": [{"texts": 10, "recording_mb": 9.0}, {"texts": 200, "recording_mb": 30.0}],
    }
    on_cpu = {one.what: one.met for one in attribution_checked("cpu", document)}
    assert on_cpu == {
        "small, recording, plain passes": True,
        "demo, recording, plain passes": False,
        "scoring, controls and comparison with 200 draws of placebo words, s": True,
        "a neuron's document at 100/s (gzip), p95 ms": False,
        "a neuron's document at 100/s (identity), p95 ms": True,
        "a neuron's page before Plotly, kB": True,
        "recording 200 texts beside 10, MB more": False,
    }
    on_gpu = {one.what: one.met for one in attribution_checked("cuda", document)}
    assert on_gpu == on_cpu | {"scoring with 200 draws of placebo words, s": False}
    document["store"]["size"]["placebo"] = 0
    assert "scoring, controls and comparison with 1000 draws of tokens, s" in {
        one.what for one in attribution_checked("cpu", document)
    }
    document["store"]["size"]["layers"] = 31
    assert not any(one.what.startswith("scoring") for one in attribution_checked("cuda", document))
    assert attribution_checked("cpu", {}) == []
