"""A neuron's files follow the query of its page; pictures have a bounded width."""

import csv
import io
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prunescope.server.neurons.export.svg import PANE_CHARACTERS, characters, place
from prunescope.server.neurons.reading import Cell
from prunescope.server.neurons.tokens import Token
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import TOKENS, VARIANTS, MadeUp

NEURON = f"/attributions/{ATTRIBUTION}/neurons/2/5"
FILE = f"/api/v1{NEURON}/heatmap"


@pytest.mark.parametrize(
    "changed",
    [
        "variant=pruned-2",
        "variant=all",
        "scale=model",
        "scale=neuron",
        "curve=log",
        "curve=gamma",
        "activation=raw",
        "activation=abs",
        "token=4",
        "theme=dark",
    ],
)
@pytest.mark.parametrize("form", ["svg", "png", "html"])
def test_every_part_of_the_view_changes_the_picture(
    client: TestClient, made_up: MadeUp, form: str, changed: str
) -> None:
    first = client.get(f"{FILE}.{form}?example=1")
    other = client.get(f"{FILE}.{form}?example=1&{changed}")
    assert (first.status_code, other.status_code) == (200, 200)
    assert first.content != other.content
    assert other.content == client.get(f"{FILE}.{form}?example=1&{changed}").content


def test_what_is_the_default_changes_nothing(client: TestClient, made_up: MadeUp) -> None:
    said = "variant=pruned-1&scale=shared&curve=linear&activation=relu&window=full&theme=light"
    assert client.get(f"{FILE}.svg?example=1").content == client.get(f"{FILE}.svg?example=1&{said}").content


def test_three_panes_numbered_as_on_the_page(client: TestClient, made_up: MadeUp) -> None:
    svg = client.get(f"{FILE}.svg?example=1&token=4&variant=pruned-2").text
    assert svg.count(f">{'Example 2 of 2'} · negative<") == 1
    assert [svg.count(f">{title}<") for title in ("Dense", "Pruned", "Difference")] == [1, 1, 1]
    assert svg.count('data-chosen="true"') == 3
    assert "Chosen “▁bland” " in svg
    both = client.get(f"{FILE}.svg").text
    assert "Example 1 of 2" in both
    assert "Example 2 of 2" in both


def test_all_variants_are_drawn_side_by_side(client: TestClient, made_up: MadeUp) -> None:
    start, count = len(TOKENS[0]), len(TOKENS[1])
    dense, *pruned = (made_up.activations[name][2, 5, start:].astype(float).tolist() for name in VARIANTS)
    changes = [after - before for values in pruned for before, after in zip(dense, values, strict=True)]
    expected = [*dense, *(value for values in pruned for value in values), *changes]
    for form in ("svg", "html"):
        text = client.get(f"{FILE}.{form}?example=1&activation=raw&variant=all").text
        assert [float(value) for value in re.findall(r'data-value="([^"]+)"', text)] == expected
        assert len(expected) == 5 * count
        assert [text.count(f">{title}<") for title in ("Dense", "Pruned", "Difference")] == (
            [1, 2, 2] if form == "svg" else [0, 0, 0]
        )
    rows = list(csv.DictReader(io.StringIO(client.get(f"{FILE}.csv?example=1&variant=all").text)))
    assert list(rows[0])[6:9] == VARIANTS


@pytest.mark.parametrize(("scale", "tops"), [("shared", 1), ("model", 3), ("neuron", 1)])
def test_scales_are_of_all_shown_models_or_of_each_or_of_all_texts(
    client: TestClient, made_up: MadeUp, scale: str, tops: int
) -> None:
    page = client.get(
        f"{NEURON}?example=1&activation=raw&variant=all&scale={scale}", headers={"accept": "text/html"}
    ).text
    ends = re.findall(r'<div class="ramp signed-ramp"><i></i></div><span>([^<]+)</span>', page)
    values = np.stack([made_up.activations[name][2, 5].astype(float) for name in VARIANTS])
    start = 0 if scale == "neuron" else len(TOKENS[0])
    counted = [place for place in range(start, values.shape[1]) if place not in (0, len(TOKENS[0]))]
    largest = np.abs(values[:, counted])
    expected = largest.max(axis=1) if scale == "model" else [largest.max()] * 3
    assert [float(end) for end in ends] == pytest.approx(expected, abs=1e-4)
    assert len(set(ends)) == tops


def test_the_words_telling_example_can_be_asked_for(client: TestClient, made_up: MadeUp) -> None:
    page = client.get(f"{NEURON}?example=telling", headers={"accept": "text/html"}).text
    (number,) = set(re.findall(r"Example (\d) of 2", page))
    svg = client.get(f"{FILE}.svg?example=telling")
    assert f"Example {number} of 2" in svg.text
    assert f"-example-{int(number) - 1}.svg" in svg.headers["content-disposition"]


def test_links_of_the_page_carry_its_state(client: TestClient, made_up: MadeUp) -> None:
    query = "example=1&variant=pruned-2&curve=log&scale=model&activation=abs&token=4"
    page = client.get(f"{NEURON}?{query}", headers={"accept": "text/html"}).text
    for form in ("csv", "svg", "png", "html", "tex"):
        (href,) = re.findall(rf'href="(/api/v1[^"]+heatmap\.{form}\?[^"]+)" download>{form.upper()} <', page)
        state = dict(part.split("=") for part in href.partition("?")[2].split("&amp;"))
        assert state == dict(part.split("=") for part in query.split("&"))


@pytest.mark.parametrize("query", ["example=1", "", "example=0&activation=raw&window=16"])
def test_pictures_are_at_most_so_wide(client: TestClient, made_up: MadeUp, query: str) -> None:
    png = client.get(f"{FILE}.png?{query}").content
    width, height = struct.unpack(">II", png[16:24])
    svg = client.get(f"{FILE}.svg?{query}").text
    assert re.findall(r'<svg[^>]* width="(\d+)" height="(\d+)"', svg) == [(str(width), str(height))]
    assert width <= 1600
    right = [float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)]
    assert max(right) <= width


def cell(*parts: str) -> Cell:
    token = Token(0, 0, "", parts, False, False, False, 0.0, 0.0, 0.0, 0.0)
    return Cell(token, 0.0, "h", 0.0, chosen=False)


def test_lines_are_never_longer_than_their_pane() -> None:
    cells = [cell("x" * 200), cell("日本" * 40), cell("a", "", "b"), cell("y" * 30), cell("z" * 30)]
    placed, _ = place(cells)
    runs = [run for each in placed for run in each]
    assert all(run.column + run.characters <= PANE_CHARACTERS for run in runs)
    assert "".join(run.text for run in runs).replace("↵", "\n") == "".join(
        "\n".join(each.token.parts) for each in cells
    )
    lines = [run.line for run in runs]
    assert lines == sorted(lines)
    newlines = [run for run in placed[2] if run.text.endswith("↵")]
    assert [run.line - newlines[0].line for run in placed[2]] == [0, 1, 2]
    assert [characters(text) for text in ("abc", "日本", "e\u0301")] == [3, 4, 1]


@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3), min_size=1, max_size=30))
def test_words_of_several_cells_are_not_broken(words: list[list[str]]) -> None:
    width = 16
    cells = [cell(" " * (not index) + piece) for pieces in words for index, piece in enumerate(pieces)]
    placed, count = place(cells, width)
    lines: list[str] = [""]
    for pieces in words:
        word = " " + "".join(pieces)
        if len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word
    assert count == len(lines)
    for runs in placed:
        for run in runs:
            assert lines[run.line][run.column : run.column + run.characters] == run.text


def test_the_csv_is_the_view_where_the_address_says_so(client: TestClient, made_up: MadeUp) -> None:
    text = client.get(f"{FILE}.csv?example=1&variant=pruned-2&activation=abs").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0])[6:] == ["dense", "pruned-2", "pruned-2 own", "pruned-2 upstream", "pruned-2 kl"]
    start = len(TOKENS[0])
    for variant in ("dense", "pruned-2"):
        values = made_up.activations[variant][2, 5, start:]
        assert [float(row[variant]) for row in rows] == [abs(float(value)) for value in values]
    whole = list(csv.DictReader(io.StringIO(client.get(f"{FILE}.csv").text)))
    assert list(whole[0])[6:9] == VARIANTS
    assert len(whole) == sum(map(len, TOKENS))
