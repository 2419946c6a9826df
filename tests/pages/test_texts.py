"""A text of one's own and words that are clicked, in a browser: with the real worker, and step by step."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from prunescope.jobs.documents import Progress
from prunescope.server.stores import Stores
from tests.pages.conftest import PHONE, Open, Site
from tests.pages.test_whole_way import PATIENCE_MS

pytestmark = pytest.mark.pages

TEXT = "A dull, bad film. The acting is bad and the plot is worse."
CALIBRATION = {"dataset": "demo", "samples": 4, "seqlen": 64}


def newest_job(stores: Stores) -> str:
    return stores.jobs.list(kind="attribute")[0][0].id


def type_text(page: Page, text: str, source: str) -> Locator:
    page.get_by_label("Your text", exact=True).fill(text)
    page.get_by_label("Influential words", exact=True).select_option(source)
    return page.get_by_role("button", name="Run", exact=True)


def marked(page: Page) -> list[str]:
    return page.locator(".words label.marked").all_inner_texts()


def test_a_typed_text_is_shown_in_the_neuron_that_was_open(
    working_site: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    pruned = working_site.submit(
        "prune", {"model": "demo", "method": "wanda", "pattern": 0.5, "calibration": CALIBRATION}
    )
    reference = f"pruned:{pruned.artefact_id}"
    spec = {"dense": "demo", "pruned": [reference], "texts": {"dataset": "reviews", "count": 2}, "permutations": 50}
    working_site.stores.send(pruned.id)
    page = open_page(f"{working_site.address}/jobs/{pruned.id}")
    expect(page.locator("h1 + .state")).to_have_text("succeeded", timeout=PATIENCE_MS)
    first = working_site.submit("attribute", spec)
    working_site.stores.send(first.id)
    page.goto(f"{working_site.address}/jobs/{first.id}")
    expect(page.locator("h1 + .state")).to_have_text("succeeded", timeout=PATIENCE_MS)

    page.goto(f"{working_site.address}/attributions/{first.artefact_id}/neurons/1/5")
    page.locator("#own summary").click()
    type_text(page, TEXT, "occlusion").click()
    page.wait_for_url(lambda url: first.artefact_id not in url and url.endswith("/neurons/1/5"), timeout=PATIENCE_MS)
    address = page.url
    expect(page.locator("h1")).to_have_text("L1/N5")
    expect(page.locator("[data-pane=dense]")).to_contain_text("dull, bad film")
    expect(page.locator("[data-pane=pruned]")).to_contain_text("dull, bad film")
    assert page.locator("[data-pane=difference] .t").count() > 10
    expect(page.locator(".menu summary").first).to_contain_text("Example 1 of 1")
    shot(page, "own-text-neuron")
    assert open_page(address).locator("h1").inner_text() == "L1/N5", "the address is for everybody"

    # The same text again is there at once; each attribution names the other.
    page.goto(f"{working_site.address}/attributions/{first.artefact_id}/neurons/1/5")
    page.locator("#own summary").click()
    type_text(page, TEXT, "occlusion").click()
    page.wait_for_url(address, timeout=PATIENCE_MS)
    page.locator("#own summary").click()
    page.get_by_role("link", name="other texts of the same models").click()
    page.locator(".others a", has_text="reviews").click()
    expect(page.locator("h1")).to_have_text("L1/N5")
    assert first.artefact_id in page.url

    # Other words of the typed text: every place of a word is marked with it.
    page.goto(address.replace("/neurons/1/5", "/texts"))
    while marked(page):
        page.locator(".words label.marked").first.click()
    page.locator(".words label", has_text="bad").nth(1).click()
    assert marked(page) == ["bad", "bad"]
    page.get_by_role("button", name="Run with these words").click()
    page.wait_for_url(
        lambda url: url.rstrip("/").rpartition("/")[2] not in address and "/texts" not in url, timeout=PATIENCE_MS
    )
    expect(page.locator(".chips .chip").first).to_contain_text("bad")
    expect(page.locator("main")).to_contain_text("chosen by hand")
    shot(page, "own-words-attribution")


def test_progress_is_seen_and_a_failure_is_told(
    seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}", viewport=PHONE)
    type_text(page, "A text that fails.", "cot").click()
    sending = page.locator("[data-sending]").first
    expect(sending).to_contain_text("waiting for a worker")
    job = seeded_app.worker.take(newest_job(seeded_app.stores))
    seeded_app.worker.say(job, Progress(stage="record dense", done=1, total=2, unit="texts"))
    expect(sending).to_contain_text("record dense 1 of 2 texts")
    shot(page, "own-text-progress-phone")
    detail = "no influential word is left in the text: give words yourself"
    seeded_app.worker.fail(
        job, {"type": "x", "title": "No words", "status": 422, "detail": detail, "errors": [], "code": "x"}
    )
    expect(page.get_by_role("alert")).to_contain_text(detail)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    expect(page.get_by_label("Your text", exact=True)).to_have_value("A text that fails.")


def test_words_of_a_typed_text_are_chosen_by_keys(
    seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}{seeded_app.attribution}/texts", color_scheme="dark")
    type_text(page, "Not good, not bad, just good <b>.", "manual").click()
    expect(page.locator("h1")).to_have_text("Choose the words")
    boxes = page.locator(".words input")
    assert page.locator(".words label").all_inner_texts() == ["Not", "good", "not", "bad", "just", "good", "b"]
    assert boxes.count() == 5
    boxes.nth(0).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert marked(page) == ["good", "good"]
    expect(page.locator("[data-marked]")).to_have_text("1 word")
    page.get_by_label("Phrases").fill("not bad")
    shot(page, "own-words-dark")
    page.get_by_role("button", name="Run with these words").click()
    expect(page.locator("[data-sending]")).to_contain_text("waiting for a worker")
    job = seeded_app.worker.take(newest_job(seeded_app.stores))
    assert job.spec["texts"][0]["words"] == ["good", "not bad"] and job.spec["words"] == {"source": "manual"}
    seeded_app.worker.finish(job)
    page.wait_for_url(f"**/attributions/{job.artefact_id}")


def test_without_script_the_form_leads_to_its_job(seeded_app: Site, open_page: Open) -> None:
    first = next(r.id for r in seeded_app.stores.results.list("attribution")[0] if isinstance(r.spec["texts"], dict))
    path = f"/attributions/{first}/neurons/0/7"
    page = open_page(f"{seeded_app.address}{path}", java_script_enabled=False)
    page.locator("#own summary").click()
    type_text(page, "Plain and simple.", "cot").click()
    page.wait_for_url("**/jobs/*?neuron=*")
    job = seeded_app.worker.take(newest_job(seeded_app.stores))
    seeded_app.worker.finish(job)
    page.reload()
    page.get_by_role("link", name="Open L0/N7").click()
    page.wait_for_url(f"**/attributions/{job.artefact_id}/neurons/0/7")
    expect(page.locator("h1")).to_have_text("L0/N7")
    page.goto(f"{seeded_app.address}/attributions/{first}/texts")
    page.locator(".words label", has_text="expected").first.click()
    page.get_by_role("button", name="Run with these words").click()
    page.wait_for_url("**/jobs/*")
    spec = seeded_app.stores.jobs.get(newest_job(seeded_app.stores)).spec
    assert spec["words"] == {"source": "manual"} and "expected" in spec["texts"]["words"][0]
