"""docs/python.md as a notebook: its blocks run from top to bottom, and what they show opens offline with the same
numbers as the pages of a server."""

import ast
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from prunescope.server.site import formats
from tests.pages.conftest import Site, scrolls_sideways, served

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
ATTRIBUTION = "a1" * 8


@dataclass(frozen=True)
class Notebook:
    """The blocks that ran: the folder they ran in, their variables, and what each one's last line is."""

    folder: Path
    variables: dict[str, Any]
    shown: list[object]

    @property
    def html(self) -> str:
        """What shows itself one below the other, but for the tables of pandas, which are its own."""
        ours = [value for value in self.shown if type(value).__module__.startswith("prunescope.")]
        return "<hr>".join(value._repr_html_() for value in ours)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """All blocks but that of a running server, which tests/prunescope/test_client.py runs."""
    folder = tmp_path_factory.mktemp("notebook")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    variables: dict[str, Any] = {}
    shown: list[object] = []
    with chdir(folder):
        for block in blocks:
            if "connect(" in block:
                continue
            lines = ast.parse(block).body
            last = lines.pop()
            assert isinstance(last, ast.Expr), f"the block ends in nothing that is shown:\n{block}"
            exec(compile(ast.Module(lines, []), str(PAGE), "exec"), variables)
            shown.append(eval(compile(ast.Expression(last.value), str(PAGE), "eval"), variables))
    return Notebook(folder, variables, shown)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: str, notebook: Notebook) -> Iterator[Site]:
    """A server that has the notebook's attribution."""
    for site in served(tmp_path_factory.mktemp("home of a notebook"), f"{redis_server}?db=6"):
        place = site.stores.artefacts.local_path("attribution", ATTRIBUTION)
        assert place is not None
        shutil.copytree(notebook.folder / "demo-attribution", place)
        spec = notebook.variables["attribution"].spec
        site.stores.results.add("attribution", ATTRIBUTION, job=None, spec=spec, summary={})
        yield site


@pytest.fixture
def offline(browser: Browser, notebook: Notebook) -> Iterator[Page]:
    """What the notebook shows, in a browser without a network and without scripts."""
    file = notebook.folder / "shown.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><title>-</title>{notebook.html}', encoding="utf-8")
    context = browser.new_context(offline=True, java_script_enabled=False, viewport={"width": 900, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert asked == [file.as_uri()]


def test_the_blocks_run_and_show_what_the_page_says(notebook: Notebook) -> None:
    pruned, half, measured, attribution, neuron, table, explanation, described = notebook.shown
    assert described.name == neuron.name and described.highest  # type: ignore[attr-defined]
    assert half == 0.5 and pruned is notebook.variables["pruned"]
    assert "reviews" in measured._repr_html_()  # type: ignore[attr-defined]
    assert [*attribution.variants] == ["dense", "pruned-1", "pruned-2"]  # type: ignore[attr-defined]
    assert neuron.rank == 1 and len(table) == 5  # type: ignore[attr-defined, arg-type]
    restored = formats.percent(explanation.restored(100), 1)  # type: ignore[attr-defined]
    assert restored in explanation._repr_html_()  # type: ignore[attr-defined]
    assert (notebook.folder / "neuron.svg").read_bytes().startswith(b"<svg ")


@pytest.mark.parametrize("form", ["html", "svg", "png", "csv"])
@pytest.mark.parametrize("view", [{}, {"example": 0, "variant": "pruned-2", "activation": "raw", "curve": "log"}])
def test_files_are_those_of_the_server(site: Site, notebook: Notebook, form: Any, view: dict[str, Any]) -> None:
    neuron = notebook.variables["neuron"]
    address = f"{site.address}/attributions/{ATTRIBUTION}/neurons/{neuron.layer}/{neuron.neuron}"
    page = httpx.get(address, params=view, headers={"accept": "text/html"}).text
    links = re.findall(rf'href="(/api/v1[^"]+heatmap\.{form}\?[^"]+)"', page)
    (href,) = [link for link in links if "caption=" not in link]
    exported = httpx.get(f"{site.address}{href.replace('&amp;', '&')}").content
    if form == "csv" and not view:  # the page's has the variant and the activation that it shows
        view = {"variant": "pruned-1", "activation": "relu"}
    assert neuron.export(form, **view) == exported


def test_it_opens_offline_with_the_numbers_of_the_server(
    site: Site, notebook: Notebook, offline: Page, shot: Any
) -> None:
    neuron = notebook.variables["neuron"]
    address = f"{site.address}/api/v1/attributions/{ATTRIBUTION}"
    overview = httpx.get(address).json()
    for row in overview["top_neurons"][:10]:
        line = offline.get_by_role("row").filter(has_text=row["name"])
        assert f"{row['score']:.3f}" in line.inner_text() and row["word"] in line.inner_text()
    document = httpx.get(f"{address}/neurons/{neuron.layer}/{neuron.neuron}").json()
    frame = offline.frame_locator("iframe")
    title = frame.locator("h2").inner_text()
    place = int(re.findall(r"Example (\d) of 2", title)[0]) - 1
    dense, pruned = (
        [max(0.0, value) for value in variant["activations"][place]] for variant in document["variants"][:2]
    )
    change = [after - before for before, after in zip(dense, pruned, strict=True)]
    for number, expected in enumerate((dense, pruned, change)):
        tokens = frame.locator("article").nth(number).locator("[data-value]").all()
        assert [float(token.get_attribute("data-value") or "") for token in tokens] == expected
    box = offline.locator("iframe").bounding_box()
    last = frame.locator("body > p").last.bounding_box()
    assert box is not None and last is not None and last["y"] + last["height"] <= box["y"] + box["height"]
    shot(offline, "python-notebook")


def test_nothing_is_wider_than_a_narrow_notebook(browser: Browser, notebook: Notebook) -> None:
    page = browser.new_page(viewport={"width": 600, "height": 900})
    page.set_content(notebook.html)
    assert not scrolls_sideways(page)
    page.close()
