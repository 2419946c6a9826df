"""Every page, in light, dark and on a phone: it opens, nothing goes wrong in it, nothing hangs over the edge."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.pages.conftest import DESK, PHONE, Open, Site, go, scrolls_sideways

pytestmark = [pytest.mark.pages, pytest.mark.slow]

LOOKS = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light"},
}


def addresses(site: Site) -> dict[str, str]:
    results = site.stores.results
    evaluation = next(r.id for r in results.list("evaluation")[0] if r.spec["model"] != "demo")
    pruned = {record.spec["method"]["name"]: record.id for record in results.list("model")[0]}
    study = results.list("study")[0][0]
    attribution = site.attribution
    layer, neuron = site.stores.attributions.get(attribution.rpartition("/")[2]).tables.at_rank(1) or (0, 0)
    return {
        "home": "/",
        "jobs": "/jobs",
        "form-prune": "/jobs/new",
        "form-evaluate": "/jobs/new?kind=evaluate",
        "form-attribute": "/jobs/new?kind=attribute",
        "form-explain": "/jobs/new?kind=explain",
        "form-corpus": "/jobs/new?kind=corpus",
        "form-study": "/jobs/new?kind=study",
        "job": f"/jobs/{site.stores.jobs.list(kind='attribute')[0][0].id}",
        "job-of-a-study": f"/jobs/{study.job}",
        "studies": "/studies",
        "study": f"/studies/{study.id}",
        "study-difference": f"/studies/{study.id}?rows=method&columns=pattern&show=difference",
        "models": "/models",
        "model": f"/models/{pruned['wanda']}",
        "model-sparsity": f"/models/{pruned['wanda']}?map=sparsity",
        "model-unmeasured": f"/models/{pruned['magnitude']}",
        "model-dense": "/models/demo",
        "evaluations": "/evaluations",
        "evaluation": f"/evaluations/{evaluation}",
        "examples": f"/evaluations/{evaluation}/reviews",
        "explanations": "/explanations",
        "explanation": f"/explanations/{site.newest('explanation')}",
        "explanation-right": f"/explanations/{site.newest('explanation')}?curve=right",
        "corpora": "/corpora",
        "corpus": f"/corpora/{site.newest('corpus')}",
        "corpus-neuron": f"/corpora/{site.newest('corpus')}/neurons/1/2",
        "attributions": "/attributions",
        "attribution": attribution,
        "attribution-margin": f"{attribution}?by=margin",
        "layer-margin": f"{attribution}/layers/{layer}?sort=margin",
        "attribution-word": f"{attribution}?word=badly",
        "texts": f"{attribution}/texts?neuron=L{layer}/N{neuron}",
        "layer": f"{attribution}/layers/{layer}",
        "layer-difference": f"{attribution}/layers/{layer}?show=difference&example=1&curve=log",
        "neuron": f"{attribution}/neurons/{layer}/{neuron}",
        "neuron-chosen": f"{attribution}/neurons/{layer}/{neuron}?token=53&scale=model&curve=log",
        "neuron-raw": f"{attribution}/neurons/{layer}/{neuron}?example=2&activation=raw&window=16",
        "beside": f"{attribution}/neurons/{layer}/{neuron}/beside?other={layer}.0",
        "search": "/search?q=a",
        "shares": "/shares",
        "glossary": "/glossary",
        "guide": "/guide",
        "guide-attribution": "/guide/attribution",
        "study-wrong": f"/studies/{study.id}?rows=colour&method=wandaa",
        "neuron-wrong": f"{attribution}/neurons/{layer}/{neuron}?variant=nope&scale=wide",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page(look: str, seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(seeded_app.address, **LOOKS[look])
    for name, path in addresses(seeded_app).items():
        go(page, seeded_app.address + path)
        for chart in page.locator("[data-chart]").all():
            chart.scroll_into_view_if_needed()
            chart.locator(".main-svg").first.wait_for()
        shot(page, f"{name}-{look}")
        assert not scrolls_sideways(page), f"{path} is wider than the window"
        assert page.locator("h1").count() == 1, path


@pytest.mark.parametrize("look", LOOKS)
def test_first_visit(look: str, empty_site: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(empty_site.address, **LOOKS[look])
    for name in ("", "jobs", "studies", "explanations", "attributions", "evaluations", "models", "shares"):
        go(page, f"{empty_site.address}/{name}")
        shot(page, f"empty-{name or 'home'}-{look}")
        assert not scrolls_sideways(page)
        assert page.locator(".empty, .none").count() >= 1


@pytest.mark.parametrize("look", LOOKS)
def test_errors(look: str, seeded_app: Site, open_page: Open, shot: Callable[[Page, str], None]) -> None:
    page = open_page(seeded_app.address, **LOOKS[look])
    for name, path, status in (
        ("nothing", "/nothing/here", 404),
        ("attribution", "/attributions/0000000000000000", 404),
        ("neuron", f"{seeded_app.attribution}/neurons/0/99999", 404),
        ("share", "/s/not-a-token", 404),
        ("null", "/%00", 404),
        ("layer", f"{seeded_app.attribution}/neurons/x/0", 422),
    ):
        go(page, seeded_app.address + path, status)
        shot(page, f"error-{name}-{look}")
        assert not scrolls_sideways(page)
