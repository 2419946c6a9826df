"""The page of an explanation and the form that starts one, in a browser."""

import json

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Open, Site

pytestmark = pytest.mark.pages


@pytest.fixture
def explanation(seeded_app: Site) -> str:
    return f"{seeded_app.address}/explanations/{seeded_app.newest('explanation')}"


def test_chart_and_table_switch_between_margins_and_rows(explanation: str, open_page: Open) -> None:
    page = open_page(explanation)
    card = page.locator("#curves")
    card.locator(".main-svg").first.wait_for()
    expect(card.locator("h2")).to_contain_text("Margin restored")
    assert card.locator(".legendtext").all_text_contents()[0] == "margin share"
    card.get_by_role("link", name="Rows right again").click()
    expect(card.locator("h2")).to_contain_text("Rows right again")
    card.locator(".main-svg").first.wait_for()
    assert page.url.endswith("?curve=right")
    expect(card).to_contain_text("so they have no interval")
    expect(card.locator("tbody tr").first).to_contain_text("newly wrong")


def test_without_scripts_tables_hold_the_numbers(explanation: str, open_page: Open) -> None:
    page = open_page(explanation, java_script_enabled=False)
    expect(page.locator("#curves tbody tr").last).to_contain_text("(all)")
    expect(page.locator("#curves .fallback")).to_be_visible()
    page.get_by_text("30 more").click()
    expect(page.locator("#neurons tbody tr").last).to_be_visible()


def test_a_point_of_the_map_opens_its_neuron(seeded_app: Site, explanation: str, open_page: Open) -> None:
    page = open_page(explanation)
    page.locator("[data-map] td a").last.click()
    page.wait_for_url("**/neurons/**")
    expect(page.locator("h1")).to_contain_text("L3/N")
    expect(page.locator("main")).to_contain_text("of the lost margin on reviews, rank")


def test_the_form_asks_about_a_task_or_about_a_text(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=explain&pruned=pruned:0123456789abcdef&task=sst2")
    preview = page.locator("[data-preview]")

    def spec() -> dict[str, object]:
        found: dict[str, object] = json.loads(preview.inner_text())["spec"]
        return found

    expect(preview).to_contain_text('"task": "sst2"')
    assert spec()["neurons"] == [1, 3, 10, 30, 100, 500] and "explained-from" not in spec() and "rows" not in spec()
    page.locator("[name=explained-from]").select_option("text")
    expect(preview).to_contain_text('"dataset": "demo"')
    page.locator("[name=heads]").select_option("false")
    page.locator("[name=rows]").select_option("all")
    found = spec()
    assert "task" not in found and found["perplexity"] == {"dataset": "demo", "bos": "auto"}
    assert found["heads"] is False and found["rows"] == "all"
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".error:visible")).to_contain_text("there is no pruned model")
