"""The neuron page in a browser: its numbers are those of the documents, keys walk, the address holds what is seen."""

import csv
import io
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.pages.conftest import Open, Site

pytestmark = pytest.mark.pages

MAX_BYTES = 150 * 1024


@pytest.fixture
def first(seeded_app: Site) -> str:
    """The path of the neuron with the highest Score."""
    id = seeded_app.attribution.rpartition("/")[2]
    layer, neuron = seeded_app.stores.attributions.get(id).tables.at_rank(1) or (0, 0)
    return f"{seeded_app.attribution}/neurons/{layer}/{neuron}"


def document(site: Site, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{site.address}/api/v1{path}").json()
    return answer


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def told(page: Page) -> dict[str, str]:
    parts = page.locator("[data-tell]").all()
    return {part.get_attribute("data-tell") or "": part.inner_text() for part in parts}


def test_shows_the_numbers_of_the_json_and_the_csv(seeded_app: Site, first: str, open_page: Open) -> None:
    neuron = document(seeded_app, first)
    files = httpx.get(f"{seeded_app.address}/api/v1{first}/heatmap.csv", params={"example": 0}).text
    rows = list(csv.DictReader(io.StringIO(files)))
    page = open_page(f"{seeded_app.address}{first}?activation=raw&example=0&prompt=shown")
    tokens = page.locator("[data-pane=dense] [data-i]")
    example = neuron["examples"][0]
    assert tokens.count() == len(example["tokens"]) == len(rows)
    assert page.locator("[data-pane=dense]").inner_text() != ""
    shown = page.evaluate("JSON.parse(document.getElementById('tokens').textContent).rows")
    for place, row in enumerate(shown):
        dense, pruned = (variant["activations"][0][place] for variant in neuron["variants"][:2])
        assert row[1] == example["token_ids"][place] == int(rows[place]["token_id"])
        for text, value, written in ((row[2], dense, rows[place]["dense"]), (row[3], pruned, rows[place]["pruned-1"])):
            assert number(text) == pytest.approx(
                value, rel=0.06, abs=0.5e-4
            )  # two digits where four decimals say nothing
            assert float(written) == pytest.approx(value, rel=1e-3)


def test_text_stays_text(seeded_app: Site, first: str, open_page: Open) -> None:
    example = document(seeded_app, first)["examples"][1]
    page = open_page(f"{seeded_app.address}{first}?example=1&prompt=shown")
    for pane in ("dense", "pruned", "difference"):
        assert page.locator(f"[data-pane={pane}]").text_content() == "".join(example["tokens"])
    assert page.locator("[data-pane] script").count() == 0


def test_hover_and_focus_tell_the_token(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    neuron = document(seeded_app, first)
    example = neuron["examples"][0]
    place = example["influential"].index(True)
    before, after = (variant["activations"][0][place] for variant in neuron["variants"][:2])
    page.hover(f"[data-pane=pruned] [data-i='{place}']")
    said = told(page)
    assert said["place"] == f"token {place}, id {example['token_ids'][place]}"
    assert number(said["dense"]) == pytest.approx(max(before, 0), abs=1e-4)
    assert number(said["pruned"]) == pytest.approx(max(after, 0), abs=1e-4)
    assert f"({(after - before) / before * 100:.0f}".replace("-", "\N{MINUS SIGN}") in said["difference"]
    expect(page.locator("[role=tooltip]")).to_contain_text(f"token {place}, id {example['token_ids'][place]}")
    assert page.locator(".t.c").count() == 3, "the same token is marked in all panes"
    page.mouse.move(5, 5)
    expect(page.locator("[role=tooltip]")).to_be_hidden()
    assert told(page)["title"].startswith("Largest ")
    page.locator(f"[data-pane=dense] [data-i='{place}']").focus()
    assert told(page)["place"].startswith(f"token {place},")
    page.keyboard.press(".")
    assert told(page)["place"].startswith(f"token {place + 1},")


def test_all_variants_side_by_side(seeded_app: Site, first: str, open_page: Open) -> None:
    neuron = document(seeded_app, first)
    page = open_page(f"{seeded_app.address}{first}?example=0")
    page.get_by_label("Pruned model: ").click()
    page.get_by_role("link", name="All variants").click()
    expect(page).to_have_url(re.compile("variant=all"))
    count = len(neuron["variants"]) - 1
    panes = page.locator(".panes.many [data-pane]")
    expect(panes).to_have_count(1 + 2 * count)
    place = neuron["examples"][0]["influential"].index(True)
    page.hover(f"[data-pane=difference-pruned-2] [data-i='{place}']")
    expect(page.locator(".panes.many .t.c")).to_have_count(1 + 2 * count)
    said = told(page)
    for variant in neuron["variants"][1:]:
        key = "pruned" if variant["name"] == "pruned-1" else f"pruned-{variant['name']}"
        assert number(said[key]) == pytest.approx(max(variant["activations"][0][place], 0), abs=1e-4)
        expect(page.locator("[role=tooltip]")).to_contain_text(said[key])
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("variant=all"))
    plain = open_page(page.url, java_script_enabled=False)
    expect(plain.locator(".panes.many [data-pane]")).to_have_count(1 + 2 * count)


def test_what_is_told_first_is_what_an_influential_token_lost(seeded_app: Site, first: str, open_page: Open) -> None:
    neuron = document(seeded_app, first)
    dense, pruned = (variant["activations"][0] for variant in neuron["variants"][:2])
    influential = [i for i, flag in enumerate(neuron["examples"][0]["influential"]) if flag]
    most = min(influential, key=lambda i: max(pruned[i], 0) - max(dense[i], 0))
    assert told(open_page(f"{seeded_app.address}{first}?example=0"))["place"].startswith(f"token {most},")


def test_a_bare_address_shows_the_text_where_its_own_word_lost_most(seeded_app: Site, open_page: Open) -> None:
    rows = document(seeded_app, seeded_app.attribution)["damaged_neurons"]
    row = next(row for row in rows if row["word"] in {"adored", "funny", "Warm", "generous"})
    neuron = document(seeded_app, row["href"])
    page = open_page(f"{seeded_app.address}{row['href']}")
    expect(page.get_by_text("Example 3 of 3")).to_be_visible()
    expect(page.locator(".cards tr", has_text=row["word"])).to_contain_text("\N{MINUS SIGN}")
    page.keyboard.press("n")
    expect(page).to_have_url(f"{seeded_app.address}{neuron['neighbours']['next_in_rank']['href']}")
    older = open_page(f"{seeded_app.address}{row['href']}?example=telling")
    expect(older.get_by_text("Example 3 of 3")).to_be_visible()
    assert older.locator(".notices").count() == 0
    chosen = open_page(f"{seeded_app.address}{row['href']}?example=0")
    chosen.keyboard.press("ArrowRight")
    expect(chosen).to_have_url(re.compile("example=0"))


def test_p_and_q_are_explained(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(seeded_app.address + first)
    facts = page.locator(".facts")
    expect(facts).to_contain_text("from 1,000 draws of random tokens")
    expect(facts).to_contain_text("over all neurons")
    page.get_by_text("What p and q are").click()
    expect(page.get_by_text("Run it again for p-values that are calibrated")).to_be_visible()


def test_keys_walk_over_neurons_layers_and_ranks(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?curve=log")
    near = document(seeded_app, first)["neighbours"]
    start = page.locator("h1").inner_text()
    for key, back, name in (
        ("ArrowRight", "ArrowLeft", "next"),
        ("ArrowUp", "ArrowDown", "layer_up"),
        ("n", "p", "next_in_rank"),
    ):
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(near[name]["name"])
        expect(page).to_have_url(f"{seeded_app.address}{near[name]['href']}?curve=log")
        expect(page).to_have_title(re.compile(near[name]["name"]))
        page.keyboard.press(back)
        expect(page.locator("h1")).to_have_text(start)
    page.keyboard.press("n")
    expect(page.locator("h1")).to_have_text(near["next_in_rank"]["name"])
    page.go_back()
    expect(page.locator("h1")).to_have_text(start)


def test_neighbours_are_fetched_before_they_are_asked_for(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(seeded_app.address + first)
    near = document(seeded_app, first)["neighbours"]
    wanted = {seeded_app.address + other["href"] for other in near.values() if other}
    page.wait_for_function(
        "wanted => { const got = performance.getEntriesByType('resource').map(e => e.name);"
        " return wanted.every(one => got.includes(one)); }",
        arg=sorted(wanted),
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text(near["next"]["name"])
    assert seeded_app.address + near["next"]["href"] not in asked


def test_every_control_changes_the_address_and_works_without_script(
    seeded_app: Site, first: str, open_page: Open
) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=0")
    for label, query in (("Per model", "scale=model"), ("Log", "curve=log"), ("± 16", "window=16")):
        page.get_by_role("link", name=label, exact=True).click()
        expect(page).to_have_url(re.compile(re.escape(query)))
    page.get_by_text("Example 1 of 3").click()
    page.locator(".menu[open] a").nth(2).click()
    expect(page.get_by_text("Example 3 of 3")).to_be_visible()
    page.get_by_text("relu", exact=True).click()
    page.locator(".menu[open] a", has_text="raw").click()
    expect(page).to_have_url(re.compile("activation=raw"))
    plain = open_page(page.url, java_script_enabled=False)
    assert plain.locator("[data-pane=dense]").inner_html() != ""
    classes = "els => els.map(e => e.className.split(' ')[1])"
    for pane in ("dense", "pruned", "difference"):
        tokens = f"[data-pane={pane}] [data-i]"
        assert plain.locator(tokens).evaluate_all(classes) == page.locator(tokens).evaluate_all(classes)
    plain.get_by_role("link", name="Shared scale").click()
    assert "scale=model" not in plain.url


def test_choosing_a_token_puts_it_into_the_address(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(seeded_app.address + first)
    page.locator("[data-pane=dense] .i").first.click()
    expect(page).to_have_url(re.compile(r"token=\d+"))
    again = open_page(page.url)
    assert told(again)["title"] == "Chosen"
    assert told(again)["place"] == told(page)["place"]
    expect(again.locator("[role=tooltip]")).to_be_visible()
    again.keyboard.press("Escape")
    expect(again).not_to_have_url(re.compile("token="))


def test_help_lists_the_keys(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(seeded_app.address + first)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("same neuron, one layer up, down")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("0.3")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("L0/N3")


def test_files_for_export(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}{first}?example=1")
    page.get_by_text("Export").click()
    links = [link.get_attribute("href") or "" for link in page.locator(".menu[open] a[download]").all()]
    kinds = [httpx.get(seeded_app.address + link).headers["content-type"].partition(";")[0] for link in links]
    assert kinds == [
        "text/csv",
        "image/svg+xml",
        "image/png",
        "text/html",
        "application/x-tex",
        "text/csv",
        "application/json",
    ]


def test_is_light(seeded_app: Site, first: str, open_page: Open) -> None:
    page = open_page(seeded_app.address + first)
    page.wait_for_load_state("networkidle")
    neighbours = "e.name.includes('/neurons/')"
    loaded = page.evaluate(
        "performance.getEntries().filter(e => e.entryType === 'navigation' || (e.entryType === 'resource' && "
        f"!({neighbours}))).map(e => [e.name, e.encodedBodySize, e.decodedBodySize])"
    )
    assert not any("plotly" in name for name, _, _ in loaded)
    assert sum(decoded for _, _, decoded in loaded) <= MAX_BYTES
