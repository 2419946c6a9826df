"""Reading a neuron's text in a browser: table, histogram, selection, keys to the largest changes, copying, folding."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site
from tests.pages.test_accessibility import FAULTS
from tests.pages.test_narrow import settled

pytestmark = pytest.mark.pages

COPIED = "() => { document.execCommand('copy'); return getSelection().toString(); }"
"""The text that the browser copies of the selection."""


@pytest.fixture
def first(seeded_app: Site) -> str:
    """The path of the neuron with the highest Score."""
    id = seeded_app.attribution.rpartition("/")[2]
    layer, neuron = seeded_app.stores.attributions.get(id).tables.at_rank(1) or (0, 0)
    return f"{seeded_app.attribution}/neurons/{layer}/{neuron}"


@pytest.fixture
def neuron(seeded_app: Site, first: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{seeded_app.address}/api/v1{first}").json()
    return answer


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def changes(neuron: dict[str, Any], example: int) -> dict[int, float]:
    """Position -> difference after relu, of the tokens that are counted."""
    text = neuron["examples"][example]
    dense, pruned = (variant["activations"][example] for variant in neuron["variants"][:2])
    aside = [special or sink for special, sink in zip(text["special"], text["sinks"], strict=True)]
    return {i: max(pruned[i], 0) - max(dense[i], 0) for i in range(len(dense)) if not aside[i]}


def test_the_table_has_the_numbers_of_the_panes(
    seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open
) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0&variant=all&prompt=shown", java_script_enabled=False)
    page.get_by_text("The same as a table").click()
    rows = page.locator(".twin tbody tr")
    text = neuron["examples"][0]
    expect(rows).to_have_count(len(text["tokens"]))
    dense, *pruned = (variant["activations"][0] for variant in neuron["variants"])
    for place in (1, text["influential"].index(True)):
        cells = rows.nth(place).locator("td, th").all_inner_texts()
        assert [cells[0], cells[2]] == [str(place), str(text["token_ids"][place])]
        assert number(cells[3]) == pytest.approx(max(dense[place], 0), abs=1e-4)
        for column, values in enumerate(pruned):
            assert number(cells[4 + 2 * column]) == pytest.approx(max(values[place], 0), abs=1e-4)
            change = max(values[place], 0) - max(dense[place], 0)
            assert number(cells[5 + 2 * column]) == pytest.approx(change, abs=1e-4)


def test_the_histogram_marks_the_token(seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    place = neuron["examples"][0]["influential"].index(True)
    spread = neuron["spread"]["dense"]
    page.hover(f"[data-pane=dense] [data-i='{place}']")
    for side, name in enumerate(("dense", "pruned")):
        value = neuron["variants"][side]["activations"][0][place]
        share = 100 * (value - spread["minimum"]) / (spread["maximum"] - spread["minimum"])
        x = page.locator(f".bars .mark.{name}").get_attribute("x1") or ""
        assert float(x.rstrip("%")) == pytest.approx(min(100, max(0, share)), abs=0.06)
    page.locator("[data-pane=dense] [data-i='0']").hover()  # outside of the histogram
    expect(page.locator(".bars .mark.dense")).to_be_hidden()


def test_the_tip_never_covers_the_line_that_is_read(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0&prompt=shown", viewport={"width": 390, "height": 500})
    for place in (1, 20, 40, 80):
        token = page.locator(f"[data-pane=pruned] [data-i='{place}']")
        token.scroll_into_view_if_needed()
        token.hover()
        expect(page.locator("[role=tooltip]")).to_contain_text(f"token {place},")
        covered = token.evaluate(
            "token => { const tip = document.querySelector('.tip').getBoundingClientRect();"
            " return [...token.getClientRects()].some(box => tip.top < box.bottom && tip.bottom > box.top); }"
        )
        assert not covered


def test_keys_go_to_the_largest_changes(seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    found = changes(neuron, 0)
    sizes = []
    for _ in range(3):
        page.keyboard.press("j")
        sizes.append(abs(found[focused(page)]))
    assert sizes == sorted(map(abs, found.values()), reverse=True)[:3]
    page.keyboard.press("k")
    assert abs(found[focused(page)]) == sizes[1]
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.fullmatch(r".+, dense [\d.]+, pruned [\d.]+", name)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next largest change")


def focused(page: Page) -> int:
    return int(page.evaluate("document.activeElement.dataset.i"))


def test_a_span_is_selected_and_has_its_sums(
    seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open
) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    page.locator("[data-pane=dense] [data-i='4']").click()
    expect(page).to_have_url(re.compile("token=4"))
    page.locator("[data-pane=dense] [data-i='9']").click(modifiers=["Shift"])
    expect(page).to_have_url(re.compile("span=4-9"))
    expect(page.locator("#span")).to_contain_text("Tokens 4 to 9")
    plain = open_page(page.url, java_script_enabled=False)
    expect(plain.locator("[data-pane=dense] .r")).to_have_count(6)
    shown = [number(text) for text in re.findall(r"\d\.\d{4}", plain.locator("#span .values").inner_text())]
    sums = [sum(max(v["activations"][0][i], 0) for i in range(4, 10)) for v in neuron["variants"][:2]]
    assert shown[:2] == pytest.approx(sums, abs=1e-4)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("span="))
    expect(page).to_have_url(re.compile("token=4"))


def test_what_is_copied_is_the_text(seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    page.locator("[data-pane=difference]").evaluate(
        "pane => { const range = document.createRange(); range.selectNodeContents(pane);"
        " getSelection().removeAllRanges(); getSelection().addRange(range); }"
    )
    text = neuron["examples"][0]
    count = page.locator("[data-pane=difference] [data-i]").count()
    words = [token for token, special in zip(text["tokens"][:count], text["special"], strict=False) if not special]
    assert page.evaluate(COPIED).strip() == "".join(words).strip()


def test_the_prompt_is_folded_until_it_is_asked_for(
    seeded_app: Site, first: str, neuron: dict[str, Any], open_page: Open
) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    tokens = page.locator("[data-pane=dense] [data-i]")
    folded = tokens.count()
    assert folded < len(neuron["examples"][0]["tokens"])
    expect(page.locator("[data-pane=dense]")).not_to_contain_text("Answer:")
    page.locator("[data-pane=dense] a.gap").click()
    expect(page.locator("[data-pane=dense]")).to_contain_text("Answer:")
    expect(page).to_have_url(re.compile("prompt=shown"))
    assert page.locator("[data-pane=dense] [data-i]").count() == len(neuron["examples"][0]["tokens"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_no_state_of_the_page_has_a_fault(
    seeded_app: Site, first: str, open_page: Open, scheme: str, size: dict[str, int]
) -> None:
    for view in ("variant=all&span=3-9&token=5", "variant=pruned-2&prompt=shown&activation=raw&curve=gamma"):
        page = open_page(f"{seeded_app.address}{first}?{view}", viewport=size, color_scheme=scheme)
        page.get_by_text("The same as a table").click()
        settled(page)
        assert page.evaluate(FAULTS) == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_character_of_several_tokens_is_seen_once_with_the_numbers_of_each(
    seeded_app: Site, first: str, open_page: Open
) -> None:
    address = f"{seeded_app.address}{first}?example=0&prompt=shown"
    page = open_page(address)
    # The tokens of the demo model are letters; pieces are joined in the page by the same markup and style sheet.
    page.locator('[data-pane="dense"] [data-i="2"]').evaluate(
        """token => {
            const box = document.createElement("span");
            box.className = "t h9 joined";
            box.append("日");
            const pieces = box.appendChild(document.createElement("span"));
            pieces.className = "pieces";
            const next = token.nextElementSibling;
            token.before(box);
            for (const piece of [token, next]) { piece.textContent = ""; pieces.append(piece); }
        }"""
    )
    box = page.locator('[data-pane="dense"] .joined').bounding_box()
    parts = [page.locator(f'[data-pane="dense"] [data-i="{place}"]') for place in (2, 3)]
    left, right = (part.bounding_box() for part in parts)
    assert box and left and right
    assert left["x"] == pytest.approx(box["x"], abs=1) and right["x"] == pytest.approx(
        box["x"] + box["width"] / 2, abs=1
    )
    for place, part in zip((2, 3), parts, strict=True):
        part.hover()
        expect(page.locator('[data-tell="place"]')).to_contain_text(f"token {place},")
