"""A neuron's files show what its page shows: the same tokens, values, colours and marks."""

import base64
import csv
import io
import re
import struct
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, Open, Site

pytestmark = pytest.mark.pages

VIEWS = [
    "",
    "example=1&variant=pruned-2&curve=log&token=7",
    "example=2&activation=raw&window=16&scale=model",
    "example=0&activation=abs&token=53&window=16",
]
GROUP = re.compile(r'<g data-position="(\d+)" data-value="([^"]+)"([^>]*)>(.*?)</g>', re.S)
TOLERANCE = 2
"""Of a colour channel: the browser mixes shades in its own precision."""

SHOWN = Path(__file__).with_name("shown.js").read_text(encoding="utf-8")


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def exported(page: Page, form: str) -> httpx.Response:
    href = page.locator("a[download]", has_text=re.compile(f"^{form.upper()} ")).get_attribute("href")
    answer = httpx.get(urljoin(page.url, href or ""), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
def first(seeded_app: Site) -> str:
    id = seeded_app.attribution.rpartition("/")[2]
    layer, neuron = seeded_app.stores.attributions.get(id).tables.at_rank(1) or (0, 0)
    return f"{seeded_app.address}{seeded_app.attribution}/neurons/{layer}/{neuron}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_svg_is_the_page(first: str, open_page: Open, view: str, scheme: str) -> None:
    page = open_page(f"{first}?{view}", viewport=DESK, color_scheme=scheme)
    page.locator("[data-i]").first.wait_for()
    shown: list[dict[str, Any]] = page.evaluate(SHOWN)
    svg = exported(page, "svg").text
    cells = GROUP.findall(svg)
    assert [int(cell[0]) for cell in cells] == [token["place"] for token in shown]
    for (_, value, marks, inside), token in zip(cells, shown, strict=True):
        assert float(value) == pytest.approx(number(token["value"]), rel=0.06, abs=0.6e-4)
        fill = rgb(re.findall(r'<rect[^>]* fill="(#\w+)"', inside)[0])
        ink = rgb(re.findall(r'<text[^>]* fill="(#\w+)"', inside)[0])
        for drawn, seen in ((fill, token["fill"]), (ink, token["ink"])):
            assert max(abs(a - b) for a, b in zip(drawn, seen, strict=True)) <= TOLERANCE, token
        assert ("data-chosen" in marks) == token["chosen"]
        written = unescape("".join(re.findall(r"<text[^>]*>([^<]*)</text>", inside)))
        assert written.replace("↵", "\n") == token["text"]
    for text in page.locator(".pane h2").all_inner_texts():
        for part in text.split("\n"):
            assert part.strip() in unescape(svg)
    for legend in page.locator(".pane .legend > span, .pane .ramp-values > span:nth-child(2)").all_text_contents():
        assert f">{legend}<" in svg
    label = page.locator(".menu summary").first.inner_text().strip()
    assert f">{label}<" in unescape(svg), "numbered as on the page"
    width, _ = struct.unpack(">II", exported(page, "png").content[16:24])
    assert width <= 1600


def test_links_follow_what_the_script_changes(first: str, open_page: Open) -> None:
    page = open_page(first, color_scheme="dark")
    before = exported(page, "svg").text
    page.locator("[data-pane=dense] .i").nth(1).click()
    expect(page).to_have_url(re.compile("token="))
    expect(page.locator("a[download]", has_text="SVG")).to_have_attribute("href", re.compile("token="))
    place = page.locator("[data-pane=dense] .c").get_attribute("data-i")
    after = exported(page, "svg").text
    assert 'data-chosen="true"' not in before
    assert after.count('data-chosen="true"') == 3
    assert f'<g data-position="{place}"' in after
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).not_to_have_text(re.findall(r">(L\d+/N\d+)<", after)[0])
    assert page.locator("h1").inner_text() in exported(page, "svg").text
    assert 'fill="#161a1d"' in exported(page, "svg").text
    page.emulate_media(color_scheme="light")
    expect(page.locator("a[download]", has_text="SVG")).not_to_have_attribute("href", re.compile("theme"))
    assert 'fill="#ffffff"' in exported(page, "svg").text
    page.locator("a", has_text="Log").first.click()
    expect(page.locator("a[download]", has_text="SVG")).to_have_attribute("href", re.compile("curve=log"))


SPANS = re.compile(r'<span[^>]* style="background:(#\w+);color:#\w+"[^>]* data-position="(\d+)" data-value="([^"]+)"')
PIXELS = """([picture, points]) => createImageBitmap(new Blob([Uint8Array.from(atob(picture), c => c.charCodeAt(0))]))
  .then(image => {
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
    canvas.drawImage(image, 0, 0);
    return points.map(([x, y]) => [...canvas.getImageData(x, y, 1, 1).data].slice(0, 3));
  })"""
"""The colours of a PNG at some points."""
views = st.fixed_dictionaries(
    {"example": st.integers(0, 2), "variant": st.sampled_from(["pruned-1", "pruned-2", "all"])},
    optional={
        "activation": st.sampled_from(["relu", "raw", "abs"]),
        "scale": st.sampled_from(["shared", "model", "neuron"]),
        "curve": st.sampled_from(["linear", "log", "gamma"]),
        "window": st.sampled_from(["full", "16"]),
        "prompt": st.sampled_from(["folded", "shown"]),
        "breaks": st.sampled_from(["kept", "joined"]),
        "token": st.integers(1, 30),
        "span": st.tuples(st.integers(0, 9), st.integers(10, 40)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    },
)


@pytest.fixture
def desk_page(first: str, open_page: Open) -> Page:
    return open_page(first, viewport=DESK, color_scheme="light")


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(view=views)
def test_page_and_files_have_the_same_numbers_and_colours(first: str, desk_page: Page, view: dict[str, Any]) -> None:
    page = desk_page
    page.goto(str(httpx.URL(first, params=view)))
    page.locator("[data-i]").first.wait_for()
    assert page.locator(".notices").count() == 0
    shown: list[dict[str, Any]] = page.evaluate(SHOWN)
    cells = GROUP.findall(exported(page, "svg").text)
    places, values = [int(cell[0]) for cell in cells], [float(cell[1]) for cell in cells]
    fills = [re.findall(r'<rect[^>]* fill="(#\w+)"', inside)[0] for *_, inside in cells]
    spans = SPANS.findall(exported(page, "html").text)
    assert [(int(place), float(value), fill) for fill, place, value in spans] == list(
        zip(places, values, fills, strict=True)
    )
    for place, value, fill, token in zip(places, values, fills, shown, strict=True):
        assert token["place"] == place
        assert number(token["value"]) == pytest.approx(value, rel=0.06, abs=0.6e-4)
        assert max(abs(a - b) for a, b in zip(rgb(fill), token["fill"], strict=True)) <= TOLERANCE
    rows = list(csv.DictReader(io.StringIO(exported(page, "csv").text)))
    models = [name for name in rows[0] if name == "dense" or re.fullmatch(r"pruned-\d", name)]
    columns = [[float(row[name]) for row in rows] for name in models]
    changes = [[after - before for before, after in zip(columns[0], each, strict=True)] for each in columns[1:]]
    assert places == [int(row["position"]) for row in rows] * (2 * len(models) - 1)
    assert values == [value for column in (*columns, *changes) for value in column]
    corners = [re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', inside)[0] for *_, inside in cells]
    points = [[round(float(x)) + 3, round(float(y)) + 3] for x, y in corners]  # above the letters, inside of the mark
    picture = base64.b64encode(exported(page, "png").content).decode()
    for colour, fill in zip(page.evaluate(PIXELS, [picture, points]), fills, strict=True):
        assert max(abs(a - b) for a, b in zip(rgb(fill), colour, strict=True)) <= 1
