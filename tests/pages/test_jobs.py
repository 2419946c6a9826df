"""Jobs in a browser: the form checks, the job is followed live and after a lost connection, cancelled, tried again."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from prunescope.jobs.documents import Progress
from prunescope.store.jobs.finding import ahead
from tests.pages.conftest import Open, Site

pytestmark = pytest.mark.pages

seeds = iter(range(1000, 2000))


def prune(site: Site) -> str:
    spec = {
        "model": "demo",
        "method": {"name": "wanda"},
        "pattern": "0.5",
        "calibration": {"dataset": "demo", "samples": 8, "seqlen": 64, "seed": next(seeds)},
    }
    return site.submit("prune", spec).id


def test_follows_a_job_to_its_end(seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    id = prune(seeded_app)
    page = open_page(f"{seeded_app.address}/jobs/{id}")
    home = open_page(f"{seeded_app.address}/")
    expect(page.get_by_role("status").first).to_have_text("queued")
    job = seeded_app.worker.take(id)
    expect(page.get_by_role("status").first).to_have_text("running")
    step = Progress(stage="prune", done=2, total=4, unit="layers", message="layer 3/4 · mlp.down_proj", eta_seconds=7)
    seeded_app.worker.say(job, step, "prune: layer 2 of 4  50.0% zeros  error 0.132  4.2 s")
    expect(page.locator("[data-count]")).to_have_text("2 of 4 layers")
    expect(page.locator("[data-eta]")).to_have_text("about 7 s left")
    expect(page.locator("[data-message]").first).to_have_text("layer 3/4 · mlp.down_proj")
    expect(page.locator("[data-log]")).to_contain_text("layer 2 of 4  50.0% zeros  error 0.132  4.2 s")
    assert page.locator("[data-bar]").evaluate("bar => bar.position") == 0.5
    row = home.locator(f"[data-job='{id}']")
    expect(row).to_contain_text("2 of 4 layers")
    shot(page, "job-running-light")
    shot(home, "home-running-light")
    seeded_app.worker.finish(job)
    expect(page.get_by_role("status").first).to_have_text("succeeded")
    expect(row).to_have_attribute("data-state", "succeeded")
    page.get_by_role("link", name="Open the model").click()
    expect(page.locator("h1")).to_contain_text("wanda")


RECORDER = """
window.told = [];
window.Notification = class extends EventTarget {
  static permission = "default";
  static async requestPermission() { return this.permission = "granted"; }
  constructor(title, { body }) { super(); window.told.push([title, body]); }
};
"""


def test_the_browser_tells_the_end_if_it_is_asked_to(seeded_app: Site, open_page: Open) -> None:
    id = prune(seeded_app)
    job = seeded_app.worker.take(id)
    page = open_page(f"{seeded_app.address}/")
    page.context.add_init_script(RECORDER)
    page.goto(f"{seeded_app.address}/jobs/{id}")
    page.get_by_role("button", name="Notify me when it ends").click()
    expect(page.get_by_role("button", name="You will be notified")).to_be_disabled()
    seeded_app.worker.say(job, Progress(stage="prune", done=1, total=4, unit="layers"), "prune: layer 1")
    expect(page).to_have_title(re.compile("^25 % · prune · Prune demo"))
    seeded_app.worker.finish(job)
    expect(page).to_have_title(re.compile("^Succeeded · Prune demo"))
    page.wait_for_function("window.told.length === 1")
    title, body = page.evaluate("window.told[0]")
    assert title == "The job has succeeded" and body.startswith("Prune demo")


def test_the_place_in_the_queue_is_kept_up_to_date(seeded_app: Site, open_page: Open) -> None:
    first, second = prune(seeded_app), prune(seeded_app)
    page = open_page(f"{seeded_app.address}/jobs/{second}")
    before = ahead(seeded_app.stores.database, seeded_app.stores.jobs.get(second))
    assert before >= 1
    expect(page.locator("[data-stage]")).to_contain_text(f"{before} job")
    seeded_app.worker.finish(seeded_app.worker.take(first))
    expect(page.locator("[data-stage]")).to_have_text(
        "waiting for a worker, next in the queue"
        if before == 1
        else re.compile(f"worker, {before - 1} jobs? before it")
    )
    seeded_app.stores.jobs.cancel(second)


def test_goes_on_after_a_lost_connection(seeded_app: Site, open_page: Open) -> None:
    id = prune(seeded_app)
    job = seeded_app.worker.take(id)
    page = open_page(f"{seeded_app.address}/jobs/{id}")
    seeded_app.worker.say(job, Progress(stage="prune", done=1, total=4, unit="layers"), "first line")
    expect(page.locator("[data-log]")).to_contain_text("first line")
    page.context.set_offline(True)
    seeded_app.worker.say(job, Progress(stage="prune", done=3, total=4, unit="layers"), "second line")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator("[data-count]")).to_have_text("3 of 4 layers")
    expect(page.locator("[data-log] [data-at]")).to_have_count(2)
    seeded_app.worker.finish(job)
    expect(page.get_by_role("status").first).to_have_text("succeeded")


def test_cancels_and_tries_again(seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    id = prune(seeded_app)
    job = seeded_app.worker.take(id)
    page = open_page(f"{seeded_app.address}/jobs/{id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").first).to_have_text("stopping")
    seeded_app.worker.stop(job)
    expect(page.get_by_role("status").first).to_have_text("cancelled")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status").first).to_have_text("queued")
    job = seeded_app.worker.take(id)
    detail = "down_proj: 172 columns cannot be cut into groups of 5; choose an m that divides them"
    seeded_app.worker.fail(
        job, {"type": "x", "title": "Pattern does not fit", "status": 422, "detail": detail, "errors": []}
    )
    expect(page.get_by_role("alert")).to_contain_text(detail)
    shot(page, "job-failed-light")


def test_form_starts_a_job(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/")
    page.get_by_role("link", name="Prune", exact=True).click()
    page.get_by_label("Pattern").fill("4:8")
    page.locator("[name='calibration.seed']").fill(str(next(seeds)))
    expect(page.locator("[data-preview]")).to_contain_text('"pattern": "4:8"')
    page.get_by_role("button", name="Start").click()
    expect(page.locator("h1")).to_have_text(re.compile("^Prune demo · wanda · demo 32x128 seed \\d+ · 4:8$"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status").first).to_have_text("cancelled")


def test_form_cannot_be_sent_before_its_script_is_there(seeded_app: Site, open_page: Open) -> None:
    page = open_page(seeded_app.address)
    held: list[Route] = []
    page.route("**/js/new_job/form.js", lambda route: held.append(route))
    page.goto(f"{seeded_app.address}/jobs/new", wait_until="commit")
    start = page.get_by_role("button", name="Start")
    expect(start).to_be_disabled()  # a browser's own submission would open the empty form again
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    expect(start).to_be_enabled()


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("prune", "pattern", "1.5", "is not in [0, 1)"),  # the server's words, also where the browser found it first
        ("prune", "pattern", "5:4", "n must be smaller than m"),
        ("prune", "model", "../secrets", ""),
        ("evaluate", "limit", "0", ""),
        ("attribute", "pruned+", "pruned:ffffffffffffffff", "there is no pruned model"),
    ],
)
def test_form_shows_what_is_wrong_at_its_field(
    kind: str, path: str, value: str, message: str, seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind={kind}")
    page.locator(f"[name='{path}']").fill(value)
    before = seeded_app.stores.jobs.list()[0][0].id
    page.get_by_role("button", name="Start").click()
    error = page.locator(f"[data-field='{path}'] .error")
    expect(error).to_be_visible()
    expect(error).to_contain_text(message)
    expect(page.locator(f"[name='{path}']")).to_have_attribute("aria-invalid", "true")
    shot(page, f"form-wrong-{kind}-light")
    assert seeded_app.stores.jobs.list()[0][0].id == before, "nothing was queued"


def test_form_sends_what_the_sums_of_the_score_leave_out(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=attribute")
    page.locator("[name='pruned']").first.check()
    page.get_by_label("Denominator floor").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-field='floor'] .error")).to_be_visible()
    page.get_by_label("Denominator floor").fill("0.125")
    expect(page.locator("[data-field='special_tokens'] [data-chosen-note]")).to_contain_text("tokens like <s>")
    page.get_by_label("Special tokens").select_option("counted")
    expect(page.locator("[data-preview]")).to_contain_text('"special_tokens": true')
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f]{32}$"))
    job = seeded_app.stores.jobs.get(page.url.rpartition("/")[2])
    assert (job.spec["floor"], job.spec["special_tokens"]) == (0.125, True)
    seeded_app.stores.jobs.cancel(job.id)


def test_form_asks_whether_it_is_causal(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=attribute")
    page.locator("[name='pruned']").first.check()
    expect(page.locator("[name='causal.draws']")).to_be_hidden()
    expect(page.locator("[data-preview]")).not_to_contain_text("causal")
    page.locator("[name='causal.task']").select_option("reviews")
    page.locator("[name='causal.draws']").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-field='causal.draws'] .error")).to_be_visible()
    page.locator("[name='causal.draws']").fill("50")
    page.locator("[name='causal.neurons']").fill("30")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f]{32}$"))
    job = seeded_app.stores.jobs.get(page.url.rpartition("/")[2])
    assert job.spec["causal"] == {"task": "reviews", "limit": 200, "draws": 50, "neurons": 30, "layers": None}
    seeded_app.stores.jobs.cancel(job.id)


def test_form_sends_own_texts_with_their_words(seeded_app: Site, open_page: Open) -> None:
    page = open_page(f"{seeded_app.address}/jobs/new?kind=attribute")
    page.locator("[name='pruned']").first.check()
    page.get_by_label("Where they come from").select_option("own")
    expect(page.get_by_label("How many")).to_be_hidden()
    page.locator("[name='texts']").fill("A badly damaged chair.\n\nI adored it.")
    page.locator("[name='texts-words']").fill("badly, damaged\nadored")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f]{32}$"))
    job = seeded_app.stores.jobs.get(page.url.rpartition("/")[2])
    assert [text["words"] for text in job.spec["texts"]] == [["badly", "damaged"], ["adored"]]
    assert job.spec["words"] == {"source": "auto"}, "which takes a text's own words"
    seeded_app.stores.jobs.cancel(job.id)
