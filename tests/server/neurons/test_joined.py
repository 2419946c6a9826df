"""Tokens that are pieces of one character: drawn once as this character, each with its own shade and number."""

import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from prunescope.lm.tokens import tokenize
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.files import FigureQuery, neuron_file
from prunescope.server.neurons.page import neuron_view
from prunescope.server.neurons.reading import Character, Pane, Reading, read_examples
from tests.models import tiny_tokenizer
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import MadeUp

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def neuron(client: TestClient, made_up: MadeUp) -> NeuronDocument:
    answer = client.get(f"/api/v1/attributions/{ATTRIBUTION}/neurons/1/7")
    return NeuronDocument.model_validate(answer.json())


def of_text(neuron: NeuronDocument, text: str) -> NeuronDocument:
    """The neuron over one text, as a byte-level tokenizer cuts it; values count up, below zero at every third token."""
    tokens = tokenize(tiny_tokenizer(), text)
    count = len(tokens.ids)
    lists = {"influential": [False] * count, "special": tokens.special, "sinks": [False] * count, "words": []}
    example = neuron.examples[0].model_copy(
        update={"index": 0, "text": text, "tokens": tokens.texts, "token_ids": tokens.ids, **lists}
    )
    variants = [
        variant.model_copy(
            update={
                "activations": [
                    [(place + 1) * (number + 1) * (-1.0 if place % 3 == 2 else 1.0) for place in range(count)]
                ],
                "own": None,
                "divergence": None,
            }
        )
        for number, variant in enumerate(neuron.variants)
    ]
    return neuron.model_copy(update={"examples": [example], "variants": variants})


def read(neuron: NeuronDocument, text: str, **query: str) -> Reading:
    document = of_text(neuron, text)
    (reading,) = read_examples(document, neuron_view(document, {"activation": "raw", **query}), [0])
    return reading


def sizes(pane: Pane) -> list[tuple[str, int]]:
    """Text and number of tokens of what is drawn, without the special token at the start."""
    return [(each.token.parts[0], len(each.pieces)) for each in pane.drawn[1:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x😀y", [("x", 1), ("😀", 4), ("y", 1)]),
        ("שלx", [("ש", 2), ("ל", 2), ("x", 1)]),
        ("日本", [("日", 3), ("本", 3)]),
        ("e\u0301x", [("e", 1), ("◌\u0301", 2), ("x", 1)]),
        ("xyz", [("x", 1), ("y", 1), ("z", 1)]),
    ],
)
def test_a_character_is_drawn_once(neuron: NeuronDocument, text: str, expected: list[tuple[str, int]]) -> None:
    reading = read(neuron, text)
    for pane in reading.groups()[0]:
        assert sizes(pane) == expected
        assert [cell for each in pane.drawn for cell in each.pieces] == list(pane.cells)


def test_its_shade_is_the_mean_of_the_tokens_shades(neuron: NeuronDocument) -> None:
    dense, _, difference = read(neuron, "x日").groups()[0]
    character = dense.drawn[2]
    assert isinstance(character, Character)
    assert [cell.value for cell in character.pieces] == [-3.0, 4.0, 5.0]
    by_hand = sum(cell.fraction * (1 if cell.value >= 0 else -1) for cell in character.pieces) / 3
    assert character.hue == "h" and character.fraction == pytest.approx(by_hand)
    assert character.css.split()[1] == f"h{round(20 * by_hand)}"
    changed = difference.drawn[2]
    assert changed.hue == "g" and [cell.hue for cell in changed.pieces] == ["l", "g", "g"]


@pytest.mark.parametrize("chosen", range(1, 100, 7))
def test_a_window_contains_whole_characters(neuron: NeuronDocument, chosen: int) -> None:
    reading = read(neuron, "日本語" * 11, window="16", token=str(chosen))
    pane = reading.groups()[0][0]
    assert {count for text, count in sizes(pane) if text.strip()} == {3}
    assert all(not pane.cells[0].token.rest or pane.before == 0 for pane in reading.groups()[0])
    assert set(range(max(0, chosen - 16), min(99, chosen + 16) + 1)) <= set(reading.positions)
    assert len(reading.positions) <= 33 + 4


def test_a_piece_without_its_character_is_a_cell(neuron: NeuronDocument) -> None:
    document = of_text(neuron, "日x")
    example = document.examples[0]
    cut = example.model_copy(update={"tokens": [*example.tokens[:1], "", *example.tokens[2:]]})
    document = document.model_copy(update={"examples": [cut]})
    (reading,) = read_examples(document, neuron_view(document, {}), [0])
    assert sizes(reading.groups()[0][0]) == [("\u2009", 1)] * 3 + [("x", 1)]


def test_files_have_the_character_once_and_every_token(neuron: NeuronDocument) -> None:
    document = of_text(neuron, "x 日")
    file = {form: neuron_file(document, form, FigureQuery("0")).body.decode() for form in ("svg", "html", "tex", "csv")}
    root = ElementTree.fromstring(file["svg"])
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert sum("日" in text and "“" not in text for text in texts) == 3  # panes
    places = [int(each.get("data-position", "")) for each in root.iter(f"{SVG}g")]
    assert places == [*range(len(document.examples[0].tokens))] * 3
    titles = [each.findtext(f"{SVG}title") or "" for each in root.iter(f"{SVG}g")]
    assert sum("rest of" in title for title in titles) == 6
    assert len(re.findall(r'data-position="\d+"', file["html"])) == len(places)
    assert file["html"].count('class="joined"') == 3
    assert file["tex"].count(r"\colorbox[HTML]") == 4 * 3  # <s>, x, space, and one box for 日
    assert len(file["csv"].strip().splitlines()) == 1 + len(document.examples[0].tokens)


def test_a_picture_is_drawn(neuron: NeuronDocument, tmp_path: Path) -> None:
    body = neuron_file(of_text(neuron, "x 😀 שלום 日本 e\u0301"), "png", FigureQuery("0")).body
    assert body.startswith(b"\x89PNG")


def test_a_hostile_token_is_text(neuron: NeuronDocument) -> None:
    document = of_text(neuron, "日")
    example = document.examples[0]
    hostile = example.model_copy(update={"tokens": [example.tokens[0], " <script>\u202e", "", ""]})
    html = neuron_file(document.model_copy(update={"examples": [hostile]}), "html", FigureQuery("0")).body.decode()
    assert "<script>" not in html and "<script>\u202e<b>" in unescape(html) and html.count("> </span>") == 3
