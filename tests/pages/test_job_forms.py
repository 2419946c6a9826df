"""The same job as curl, Python, YAML and a command, beside the form and on a job's page."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.pages.conftest import DESK, PHONE, Open, Site, scrolls_sideways

pytestmark = pytest.mark.pages


def fold(page: Page, form: str) -> Locator:
    return page.locator(f"[data-form={form}]")


@pytest.mark.parametrize(
    ("name", "look"), [("light", {"viewport": DESK}), ("phone", {"viewport": PHONE, "color_scheme": "dark"})]
)
def test_all_forms_follow_the_fields(
    name: str, look: dict[str, object], seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(
        f"{seeded_app.address}/jobs/new?kind=prune", permissions=["clipboard-read", "clipboard-write"], **look
    )
    command = fold(page, "command")
    command.get_by_text("command line", exact=True).click()
    expect(command.locator("pre")).to_contain_text("prunescope prune demo")
    page.get_by_label("Pattern").fill("4:8")
    expect(command.locator("pre")).to_contain_text("--pattern 4:8")
    expect(fold(page, "yaml").locator("pre")).to_contain_text("pattern: '4:8'")
    expect(fold(page, "curl").locator("pre")).to_contain_text(f"{seeded_app.address}/api/v1/jobs")
    expect(fold(page, "local").locator("pre")).to_contain_text("prunescope.prune(")
    command.get_by_role("button", name="Copy the job as command line").click()
    expect(page.locator(".toast")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command.locator("pre").inner_text()
    shot(page, f"job-forms-{name}")
    assert not scrolls_sideways(page)


def test_errors_appear_while_typing_and_only_where_something_was_typed(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=explain")
    box = page.locator("[data-estimate]")
    expect(box).to_have_attribute("data-estimate", "wrong")
    expect(page.locator(".field .error:visible")).to_have_count(0)
    limit = page.get_by_label("Rows or windows")
    limit.fill("2")
    error = page.locator("[data-field=limit] .error")
    expect(error).to_contain_text("4")
    expect(limit).to_have_attribute("aria-invalid", "true")
    expect(limit).to_be_focused()
    expect(fold(page, "yaml").locator("pre")).to_have_text("")
    limit.fill("8")
    expect(error).to_be_hidden()
    expect(page.locator(".field .error:visible")).to_have_count(0)


def test_a_study_has_no_python_without_a_server(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=study")
    expect(fold(page, "yaml").locator("pre")).to_contain_text("kind: study")
    expect(fold(page, "local")).to_be_hidden()
    expect(fold(page, "command").locator("pre")).to_contain_text("prunescope submit job.yaml")


def test_the_page_of_a_job_has_them_without_scripts(seeded_app: Site, open_page: Open) -> None:
    made = seeded_app.stores.results.list("model")[0][0]
    page = open_page(f"{seeded_app.address}/jobs/{made.job}", java_script_enabled=False)
    fold(page, "command").get_by_text("command line", exact=True).click()
    expect(fold(page, "command").locator("pre")).to_contain_text(re.compile("prunescope prune demo"))
    expect(fold(page, "command").get_by_role("button")).to_be_hidden()


def preview(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("JSON.parse(document.querySelector('[data-preview]').textContent)")
    return found


def test_perplexity_files_seeds_and_lengths_are_in_the_form(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=evaluate")
    page.get_by_role("checkbox", name="reviews").uncheck()
    page.get_by_label("Texts").fill("demo, wikitext2")
    page.get_by_label("Windows of each").fill("3")
    expect(page.locator("[data-preview]")).to_contain_text("wikitext2")
    assert preview(page)["spec"]["perplexity"] == {"datasets": ["demo", "wikitext2"], "windows": 3, "bos": "auto"}
    assert "tasks" not in preview(page)["spec"]
    expect(page.locator("[data-estimate]")).to_have_attribute("data-estimate", "known")
    page.goto(f"{seeded_app.address}/jobs/new?kind=study")
    page.get_by_label("Several sequence lengths").fill("32, 64")
    page.get_by_label("Seeds").fill("0, 1")
    page.get_by_role("checkbox", name="owl").check()
    expect(page.locator("[data-preview]")).to_contain_text("owl")
    spec = preview(page)["spec"]
    assert (spec["seqlens"], spec["seeds"]) == ([32, 64], [0, 1])
    assert {each["name"] for each in spec["allocations"]} == {"uniform", "owl"} and "perplexity" not in spec
    page.goto(f"{seeded_app.address}/jobs/new?kind=prune")
    page.get_by_label("Or an own file").fill("texts.txt")
    expect(page.locator("[data-preview]")).to_contain_text("texts.txt")
    calibration = preview(page)["spec"]["calibration"]
    assert calibration["file"] == "texts.txt" and not {"dataset", "mode"} & calibration.keys()


def test_models_are_suggested_for_each_of_several(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=study")
    field = page.get_by_label("Models", exact=True)
    pruned = f"pruned:{seeded_app.newest('model')}"
    field.fill("demo, ")
    offered = field.evaluate("field => [...field.list.options].map((option) => option.value)")
    assert f"demo, {pruned}" in offered and "demo, demo" not in offered
