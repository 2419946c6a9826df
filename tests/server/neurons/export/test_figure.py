"""Figures that would be too large are refused before they are drawn, and nothing that is drawn ends the server."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prunescope.jobs.problems import Problem
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.figure import (
    CHARACTERS_PER_LETTER,
    CHARACTERS_PER_TOKEN,
    CHARACTERS_PER_VALUE,
    MAX_DRAWN_TOKENS,
    MAX_PIXELS,
    VALUES,
    check_figure,
    check_pixels,
)
from prunescope.server.neurons.export.files import FigureQuery, neuron_file
from prunescope.server.neurons.export.raster import png_of
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}"><rect width="9" height="9"/></svg>'


@pytest.fixture
def neuron(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    answer = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7")
    return NeuronDocument.model_validate(answer.json())


def many(neuron: NeuronDocument, count: int, tokens: int = 2, length: int = 5) -> NeuronDocument:
    """The same neuron over `count` texts of so many tokens."""
    example = neuron.examples[0]
    cut = {
        "tokens": ["x" * length] * tokens,
        "token_ids": [7] * tokens,
        "influential": [False] * tokens,
        "special": [False] * tokens,
        "sinks": [False] * tokens,
        "words": [],
    }
    examples = [example.model_copy(update={**cut, "index": index}) for index in range(count)]
    values = {"activations": [[0.5] * tokens] * count, "own": None, "divergence": None}
    variants = [variant.model_copy(update=values) for variant in neuron.variants]
    return neuron.model_copy(update={"examples": examples, "variants": variants})


def refused(neuron: NeuronDocument, form: str, example: int | None = None) -> dict[str, Any]:
    with pytest.raises(Problem) as caught:
        neuron_file(neuron, form, FigureQuery(None if example is None else str(example)))
    assert caught.value.status == 422
    (error,) = caught.value.document()["errors"]
    return error


def test_two_thousand_short_texts_are_no_png(neuron: NeuronDocument) -> None:
    texts = many(neuron, 2000)
    error = refused(texts, "png")
    assert error["field"] == "example"
    assert "?example=" in error["message"] and f"at most {MAX_PIXELS:,} pixels" in error["message"]
    assert neuron_file(texts, "png", FigureQuery("3")).body.startswith(b"\x89PNG")
    assert len(neuron_file(texts, "csv", FigureQuery()).body.splitlines()) == 4001
    assert b"<svg" in neuron_file(texts, "svg", FigureQuery()).body[:100]


@pytest.mark.parametrize("form", ["svg", "html", "png"])
def test_too_many_tokens_are_no_figure(neuron: NeuronDocument, form: str) -> None:
    error = refused(many(neuron, 2000, tokens=4), form)
    assert f"{MAX_DRAWN_TOKENS:,}" in error["message"] and "?example=" in error["message"]


def test_a_file_has_a_length(neuron: NeuronDocument) -> None:
    with pytest.raises(Problem, match=r"characters; at most 40,000,000\); take heatmap.csv"):
        check_figure(many(neuron, 1, tokens=2, length=400_000), 3, [0], 0)
    with pytest.raises(Problem, match="characters"):
        check_figure(many(neuron, 2, tokens=2, length=200_000), 3, [0, 1], None)
    check_figure(neuron, 3, [0, 1], None)


def test_the_estimate_of_a_files_length_is_no_less_than_the_file(neuron: NeuronDocument) -> None:
    document = many(neuron, 3, tokens=500, length=9)
    estimate = 1500 * (CHARACTERS_PER_TOKEN + VALUES * CHARACTERS_PER_VALUE + 9 * CHARACTERS_PER_LETTER)
    for variant, panes in (("pruned-1", 3), ("all", 5)):
        for form in ("svg", "html"):
            assert len(neuron_file(document, form, FigureQuery(variant=variant)).body) <= panes * estimate


@pytest.mark.parametrize(("width", "height", "fits"), [(10_000, 4000, True), (10_000, 4001, False), (1, 276_000, True)])
def test_pixels_are_counted(neuron: NeuronDocument, width: int, height: int, fits: bool) -> None:
    if fits:
        check_pixels(SVG.format(width, height), neuron, None)
    else:
        with pytest.raises(Problem, match="10,000 x 4,001 = 40,010,000 pixels"):
            check_pixels(SVG.format(width, height), neuron, None)


def test_a_picture_of_gigabytes_ends_the_process_that_draws_it_and_no_other() -> None:
    with pytest.raises(Problem) as caught:
        png_of(SVG.format(60_000, 60_000))
    assert (caught.value.status, caught.value.code) == (503, "not-drawn")
    assert caught.value.headers["retry-after"]
    assert png_of(SVG.format(30, 30)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "code", ["import os; os.abort()", "raise SystemExit(3)", "print('no picture')", "x = bytearray(10**12)"]
)
def test_whatever_happens_in_the_child_is_a_503(tmp_path: Path, code: str) -> None:
    child = tmp_path / "child.py"
    child.write_text(code, encoding="utf-8")
    with pytest.raises(Problem, match=r"take heatmap\.svg") as caught:
        png_of("<svg/>", child)
    assert caught.value.status == 503


def test_what_is_no_svg_is_a_503() -> None:
    with pytest.raises(Problem, match="ended with code 1"):
        png_of("no picture")
