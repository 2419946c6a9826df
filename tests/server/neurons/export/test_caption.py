"""Every file says how its numbers were made, how to make it again and what to cite; LaTeX is coloured like the SVG."""

import csv
import io
import json
import re
import subprocess
from html import unescape
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.caption import CITATION, MAX_CODE, caption_of
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import TOKENS, MadeUp

FILE = f"/api/v1/attributions/{ATTRIBUTION}/neurons/2/5/heatmap"
SPEC = {"dense": "demo", "pruned": ["pruned:0123456789abcdef"], "texts": {"dataset": "reviews", "count": 2}}


@pytest.fixture
def neuron(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    return NeuronDocument.model_validate(client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/2/5").json())


def test_the_call_makes_the_figure_again(neuron: NeuronDocument) -> None:
    code = caption_of(neuron.model_copy(update={"spec": SPEC}), "svg", {"example": 1, "scale": "neuron"}).code
    called: dict[str, object] = {}

    class Stand:
        """Remembers the arguments of each call of the Python API."""

        def attribute(self, **arguments: object) -> "Stand":
            called.update(arguments)
            return self

        def neuron(self, layer: int, neuron: int) -> "Stand":
            called["neuron"] = (layer, neuron)
            return self

        def export(self, form: str, **options: object) -> None:
            called["export"] = (form, options)

    eval(code, {"prunescope": Stand()})
    assert called["dense"] == "demo"
    assert called["pruned"] == SPEC["pruned"]
    assert called["texts"] == SPEC["texts"]
    assert called["neuron"] == (2, 5)
    assert called["export"] == ("svg", {"example": 1, "scale": "neuron"})


@pytest.mark.parametrize(
    "spec",
    [
        {"former": "spec"},
        {**SPEC, "texts": [{"text": "x" * MAX_CODE, "label": "positive"}], "words": {"source": "occlusion"}},
    ],
)
def test_without_a_call_the_caption_has_the_rest(neuron: NeuronDocument, spec: dict[str, object]) -> None:
    caption = caption_of(neuron.model_copy(update={"spec": spec}), "svg", {})
    assert caption.code == caption.command == ""
    assert caption.lines == caption.comments == [neuron.provenance, f"Method: {CITATION}"]


def files_of(command: str, folder: Path) -> list[str]:
    """Runs the command in a shell with a program `prunescope` that writes down its arguments; returns these."""
    program = folder / "prunescope"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > given\n')
    program.chmod(0o755)
    subprocess.run(["sh", "-e", "-c", command], cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin"}, check=True)
    return (folder / "given").read_text().splitlines()


def test_the_command_submits_the_spec_of_texts_of_a_dataset(neuron: NeuronDocument, tmp_path: Path) -> None:
    caption = caption_of(neuron.model_copy(update={"spec": SPEC}), "svg", {})
    assert files_of(caption.command, tmp_path) == ["submit", "job.yaml", "--wait"]
    assert yaml.safe_load((tmp_path / "job.yaml").read_text()) == {"kind": "attribute", "spec": SPEC}


def test_the_command_attributes_own_texts(neuron: NeuronDocument, tmp_path: Path) -> None:
    text = "It's $(touch hostile) <script>\nEND\n`x` שלום"
    spec = {**SPEC, "texts": [{"text": text, "words": ["hostile"]}], "seed": 7, "prompt": "none"}
    caption = caption_of(neuron.model_copy(update={"spec": {**spec, "words": {"source": "manual"}}}), "svg", {})
    given = files_of(caption.command, tmp_path)
    assert given[:5] == ["attribute", "--dense", "demo", "--pruned", "pruned:0123456789abcdef"]
    assert given[given.index("--seed") + 1] == "7"
    assert json.loads((tmp_path / "texts.jsonl").read_text())["text"] == text
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize("form", ["svg", "html", "tex", "csv"])
def test_every_file_has_the_command(client: TestClient, neuron: NeuronDocument, form: str) -> None:
    text = unescape(client.get(f"{FILE}.{form}?example=1&caption=true").text)
    prefix = {"tex": "% ", "csv": "# "}.get(form, "")
    command = caption_of(neuron, form, {}).command
    assert command and "\n".join(f"{prefix}{line}" for line in command.splitlines()) in text.replace("\r\n", "\n")


@pytest.mark.parametrize("form", ["svg", "html", "tex", "csv"])
def test_every_file_has_its_caption(client: TestClient, neuron: NeuronDocument, form: str) -> None:
    text = unescape(client.get(f"{FILE}.{form}?example=1&caption=true").text)
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert neuron.provenance in plain
    assert "arXiv:2503.01542" in plain


def test_a_csv_has_the_caption_only_if_it_is_asked_for(client: TestClient, made_up: MadeUp) -> None:
    with_caption = client.get(f"{FILE}.csv?example=1&caption=true").text
    plain = client.get(f"{FILE}.csv?example=1").text
    assert with_caption.endswith(plain)
    assert all(line.startswith("# ") for line in with_caption.removesuffix(plain).splitlines())
    assert len(list(csv.DictReader(io.StringIO(plain)))) == len(TOKENS[1])


def test_latex_has_the_colours_of_the_svg(client: TestClient, made_up: MadeUp) -> None:
    query = "?example=0&variant=all&token=4&span=2-5"
    svg, tex = (client.get(f"{FILE}.{form}{query}").text for form in ("svg", "tex"))
    fills = re.findall(r'<g data-position[^>]*><title>[^<]*</title><rect[^>]* fill="#(\w+)"', svg)
    boxes = re.findall(r"^\\colorbox\[HTML\]\{(\w+)\}", tex, re.M)
    assert [fill.upper() for fill in fills] == boxes
    assert len(boxes) == 5 * len(TOKENS[0])
    plain = re.sub(r"\\[{}]", "", "\n".join(line for line in tex.splitlines() if not line.startswith("%")))
    assert plain.count("{") == plain.count("}")
    assert tex.count(r"\begin{minipage}") == tex.count(r"\end{minipage}") == 5
