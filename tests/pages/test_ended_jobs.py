"""A job that failed or was cancelled: why, how far it came, and the way on; times are the reader's."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from prunescope.jobs.documents import Progress
from tests.pages.conftest import PHONE, STUDY, Open, Site, scrolls_sideways
from tests.pages.test_jobs import prune

pytestmark = pytest.mark.pages

PROBLEM = {"type": "x", "title": "No words were found", "status": 422, "detail": "in none of 2 texts", "errors": []}
ANSWERS = [{"text": "A badly damaged chair.", "answer": "<b>terrible</b>\n1. [bad]"}, {"text": "I", "answer": ""}]


def failed_attribution(site: Site, **more: Any) -> str:
    pruned = [f"pruned:{site.newest('model')}"]
    texts = [{"text": "A badly damaged chair.", "label": "negative"}, {"text": "I adored it."}]
    spec = {"dense": "demo", "pruned": pruned, "texts": texts, "words": "cot-free", "layers": [1, 2], **more}
    id = site.submit("attribute", spec).id
    job = site.worker.take(id)
    site.worker.say(job, Progress(stage="words", done=2, total=2, unit="texts"), "words: 2 of 2 texts")
    site.worker.fail(job, {**PROBLEM, "answers": ANSWERS})
    return id


def form_of(page: Page) -> dict[str, Any]:
    page.locator("[data-job-form][data-ready]").wait_for()  # before, the preview is an example
    found: dict[str, Any] = page.evaluate("JSON.parse(document.querySelector('[data-preview]').textContent)")
    return found


def spec_of(site: Site, id: str) -> dict[str, Any]:
    return site.stores.jobs.get(id).spec


@pytest.mark.parametrize("look", [{}, {"viewport": PHONE, "color_scheme": "dark"}])
def test_says_why_and_what_the_model_answered(
    look: dict[str, Any], seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    id = failed_attribution(seeded_app, seed=len(look))
    page = open_page(f"{seeded_app.address}/jobs/{id}", **look)
    expect(page.locator("[data-stage]")).to_have_text("failed in words")
    bar = page.locator("[data-bar]")
    assert bar.get_attribute("class") == "failed"
    assert 0 < bar.evaluate("bar => bar.position") < 1
    answers = page.locator(".answers dd")
    assert answers.all_inner_texts() == ["<b>terrible</b>\n1. [bad]", "nothing"]
    expect(page.locator(".answers dt").first).to_contain_text("“A badly damaged chair.”")
    assert not scrolls_sideways(page)
    shot(page, f"job-without-words-{'phone-dark' if look else 'light'}")


def test_a_cancelled_bar_stops_where_it_was(seeded_app: Site, open_page: Open) -> None:
    id = prune(seeded_app)
    job = seeded_app.worker.take(id)
    seeded_app.worker.say(job, Progress(stage="prune", done=1, total=4, unit="layers"), "layer 1")
    seeded_app.stores.jobs.cancel(id)
    seeded_app.worker.stop(job)
    page = open_page(f"{seeded_app.address}/jobs/{id}")
    bar = page.locator("[data-bar]")
    assert bar.get_attribute("class") == "cancelled" and bar.evaluate("bar => bar.position") == pytest.approx(0.2)
    page.get_by_role("link", name="Edit and start").click()
    assert form_of(page)["spec"] == spec_of(seeded_app, id)
    page.get_by_label("Samples", exact=True).fill("9")
    changed = spec_of(seeded_app, id)
    changed["calibration"]["samples"] = 9
    assert form_of(page)["spec"] == changed


def test_edit_and_start_keeps_what_the_form_does_not_show(seeded_app: Site, open_page: Open) -> None:
    id = failed_attribution(seeded_app, seed=7, causal={"task": "reviews", "layers": [1]})
    page = open_page(f"{seeded_app.address}/jobs/{id}")
    page.get_by_role("link", name="Edit and start").click()
    expect(page.locator("h1")).to_have_text("Edit and start")
    spec = spec_of(seeded_app, id)
    assert form_of(page) == {"kind": "attribute", "spec": spec}
    expect(page.get_by_label("Layers", exact=True)).to_have_value("1, 2")
    expect(page.get_by_label("Layers of these neurons")).to_have_value("1")
    page.locator("[name='words.source']").select_option("occlusion")
    page.locator("[name='prompt']").select_option("reviews")
    assert form_of(page)["spec"] == {**spec, "words": {"source": "occlusion"}, "prompt": "reviews"}
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f]{32}$"))
    started = page.url.rpartition("/")[2]
    assert spec_of(seeded_app, started) == {**spec, "words": {"source": "occlusion"}, "prompt": "reviews"}
    seeded_app.stores.jobs.cancel(started)


def test_chosen_rows_and_a_study_are_filled_in(seeded_app: Site, open_page: Open) -> None:
    rows = {"dataset": "reviews", "indices": [4, 2]}
    id = seeded_app.submit(
        "attribute", {"dense": "demo", "pruned": [f"pruned:{seeded_app.newest('model')}"], "texts": rows}
    ).id
    page = open_page(f"{seeded_app.address}/jobs/new?from={id}")
    assert form_of(page)["spec"] == spec_of(seeded_app, id)
    page.locator("[name='texts.indices']").fill("4, 2, 7")
    assert form_of(page)["spec"]["texts"] == {"dataset": "reviews", "indices": [4, 2, 7]}
    seeded_app.stores.jobs.cancel(id)
    methods = [{"name": "ria", "exponent": 1.0}, {"name": "magnitude"}]
    more = {"methods": methods, "seqlens": [32, 64], "seeds": [1, 2], "limit": None, "name": "Another"}
    calibrations = [{"dataset": "demo", "samples": 4}, {"dataset": "demo", "mode": "single", "samples": 4}]
    study = seeded_app.submit("study", {**STUDY, **more, "calibrations": calibrations}).id
    page = open_page(f"{seeded_app.address}/jobs/new?from={study}")
    spec = spec_of(seeded_app, study)
    assert form_of(page) == {"kind": "study", "spec": spec}
    page.locator("[name='methods'][value='wanda']").check()
    page.locator("[name='calibrations.samples']").fill("5")
    made = form_of(page)["spec"]
    assert {each["name"]: each for each in made["methods"]}["ria"]["exponent"] == 1.0
    assert [each["samples"] for each in made["calibrations"]] == [5, 5]
    assert [each["mode"] for each in made["calibrations"]] == ["concat", "single"]
    assert (made["seqlens"], made["seeds"]) == (spec["seqlens"], spec["seeds"])
    seeded_app.stores.jobs.cancel(study)


def test_log_times_are_the_readers(seeded_app: Site, open_page: Open) -> None:
    id = failed_attribution(seeded_app, seed=8)
    at = seeded_app.stores.jobs.log(id)[0].at
    there = open_page(f"{seeded_app.address}/jobs/{id}", timezone_id="Asia/Kolkata")
    shown = there.locator("[data-log] time").first
    hour = there.evaluate(
        "at => new Date(at).toLocaleTimeString('en-GB', { timeZone: 'Asia/Kolkata' })", at.isoformat()
    )
    expect(shown).to_have_text(hour)
    expect(there.locator("[data-zone]")).to_contain_text(re.compile("Asia/(Kolkata|Calcutta)"))
    assert shown.get_attribute("title")
    plain = open_page(f"{seeded_app.address}/jobs/{id}", timezone_id="Asia/Kolkata", java_script_enabled=False)
    expect(plain.locator("[data-log] time").first).to_have_text(at.strftime("%H:%M:%S"))
    expect(plain.locator("[data-zone]")).to_have_text("times in UTC")


def test_lines_that_come_live_have_the_readers_time(seeded_app: Site, open_page: Open) -> None:
    id = prune(seeded_app)
    job = seeded_app.worker.take(id)
    page = open_page(f"{seeded_app.address}/jobs/{id}", timezone_id="Asia/Kolkata")
    seeded_app.worker.say(job, Progress(stage="prune", done=1, total=4, unit="layers"), "layer 1")
    time = page.locator("[data-log] time").first
    text = time.inner_text()
    seeded_app.worker.finish(job)
    expect(page.get_by_role("status").first).to_have_text("succeeded")
    expect(page.locator("[data-log] time").first).to_have_text(text)
