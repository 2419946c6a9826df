"""The guide: documents of `docs/` as pages, so that the method behind a number is one click away, offline too.

Markdown is rendered by markdown-it-py. Links between the documents lead to pages; links to other files of the
repository, which are not served, become text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from prunescope.frontend import DOCS
from prunescope.jobs.problems import Problem
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.site.documents import Document
from prunescope.server.site.frame import GUIDE, Frame, render
from prunescope.server.static import read_static, static_response

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CHAPTERS = {
    "Start": ("tour",),
    "Use": ("studies", "python", "models", "limits"),
    "Methods": ("methods", "calibration", "tasks", "attribution", "explain", "corpus"),
    "Measured": ("findings", "results"),
}
"""Chapter -> its documents, in the order of the list."""

PICTURES = DOCS / "tour"
"""The pictures of the tour: `<step>.webp`, and `<step>-dark.webp` for dark windows."""
WIDTH, HEIGHT = 1100, 720
"""Pixels of a picture of the tour (tests/pages/test_tour.py takes them)."""

PAGES = tuple(name for names in CHAPTERS.values() for name in names)

_PICTURE = re.compile(r"tour/(?P<name>[a-z]+)\.webp")
_FILE = re.compile(r"[a-z]+(-dark)?\.webp")
_LINK = re.compile(r"(?P<name>[a-z]+)\.md(?P<fragment>#[\w-]+)?")
_NOT_IN_FRAGMENTS = re.compile(r"[^\w\- ]")


class GuideSection(Document):
    title: str
    id: str  # fragment of the section's address on the page


class GuideEntry(Document):
    name: str
    title: str
    summary: str  # first sentence
    href: str


class GuideChapter(Document):
    title: str
    pages: list[GuideEntry]


class Guide(Document):
    chapters: list[GuideChapter]


class GuidePage(Document):
    name: str
    title: str
    sections: list[GuideSection]
    markdown: str


@dataclass(frozen=True)
class GuideListContext:
    """The context of ``site/guide.html``."""

    frame: Frame
    document: Guide


@dataclass(frozen=True)
class GuidePageContext:
    """The context of ``site/guide_page.html``; ``body`` is the rendered document without its title."""

    frame: Frame
    document: GuidePage
    body: Markup


def fragment(title: str) -> str:
    """The fragment of a heading's address, as on GitHub, on which the documents' own links rely.

    >>> fragment("p-values: how small?")
    'p-values-how-small'
    """
    return _NOT_IN_FRAGMENTS.sub("", title.lower()).replace(" ", "-")


@lru_cache(maxsize=len(PAGES))
def read(name: str) -> tuple[GuidePage, Markup]:
    """The document ``docs/<name>.md`` and its body as HTML. Raises Problem 404 if it is not part of the guide."""
    if name not in PAGES:
        raise Problem(404, "not-found", "Not found", f"the guide has no page {name[:200]!r}, only {', '.join(PAGES)}")
    markdown = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    parser = MarkdownIt("commonmark").enable("table")
    parser.add_render_rule("image", _picture)
    tokens = _without_comments(parser.parse(markdown))
    sections = [
        GuideSection(title=title, id=token.attrs["id"])
        for token, title in _headings(tokens)
        if token.tag == "h2" and isinstance(token.attrs["id"], str)
    ]
    title, body = tokens[1].content, tokens[3:]
    for token in body:
        if token.children:
            token.children = list(_linked(token.children))
        if token.attrs.pop("style", None) == "text-align:right":  # inline styles are not allowed on pages
            token.attrs["class"] = "n"
    page = GuidePage(name=name, title=title, sections=sections, markdown=markdown)
    return page, Markup(parser.renderer.render(list(_scrolled(body)), parser.options, {}))


def _without_comments(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without HTML blocks: the documents have only comments, which mark where benchmarks write tables."""
    return [token for token in tokens if token.type != "html_block"]


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    """Every heading with its title. Sets the `id` of each."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            title = "".join(child.content for child in content.children or ())
            token.attrs["id"] = fragment(title)
            yield token, title


def _scrolled(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens with a box around each table, which scrolls in a narrow window."""
    number = 0
    for token in tokens:
        if token.type == "table_open":
            number += 1
            box = Token("box_open", "div", 1, attrs={"class": "scroll", "tabindex": "0", "role": "region"})
            box.attrs["aria-label"] = f"Table {number}"
            yield box
        yield token
        if token.type == "table_close":
            yield Token("box_close", "div", -1)


def _picture(_renderer: RendererHTML, tokens: Sequence[Token], place: int, _options: Any, _env: Any) -> str:
    """A picture of the tour as HTML, which has one of each colour scheme; any other picture is its text."""
    token = tokens[place]
    found = _PICTURE.fullmatch(str(token.attrs["src"]))
    if found is None:
        return str(escape(token.content))
    light, dark = (
        escape(urls.with_state(urls.guide_picture(file), v=read_static(PICTURES / file).version))
        for file in (f"{found['name']}.webp", f"{found['name']}-dark.webp")
    )
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(token.content)}" width="{WIDTH}" height="{HEIGHT}" loading="lazy"></picture>'
    )


def _linked(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens of a paragraph with links that lead to pages of the application or to the web; others are left out. A
    link whose text is a document's file name shows its title."""
    kept: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            href = _href(str(token.attrs["href"]))
            kept.append(href is not None)
            if href is None:
                continue
            token.attrs["href"] = href
            if href.startswith("http"):
                token.attrs["rel"] = "noreferrer"
        elif token.type == "link_close" and not kept.pop():
            continue
        elif token.type == "text" and kept and (found := _LINK.fullmatch(token.content)):
            token.content = _title(found["name"])
        yield token


def _href(href: str) -> str | None:
    """Where a link of a document leads from the guide, None if it leads to a file that is not served."""
    if href.startswith(("https://", "http://", "#")):
        return href
    found = _LINK.fullmatch(href)
    if found is None:
        return None
    name, place = found["name"], found["fragment"] or ""
    if name == "glossary":
        return urls.glossary() + place
    return urls.guide_page(name) + place if name in PAGES else None


def _title(name: str) -> str:
    """The title of the document ``docs/<name>.md``, its first line."""
    with (DOCS / f"{name}.md").open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").strip()


@api.get(urls.guide.route, summary="The documents of the guide")
def get_guide() -> Guide:
    return Guide(
        chapters=[
            GuideChapter(title=title, pages=[_entry(name) for name in names]) for title, names in CHAPTERS.items()
        ]
    )


def _entry(name: str) -> GuideEntry:
    page, body = read(name)
    paragraph = body.partition("<p>")[2].partition("</p>")[0]
    summary = Markup(paragraph).striptags().partition(". ")[0].rstrip(".") + "."
    return GuideEntry(name=name, title=page.title, summary=summary, href=urls.guide_page(name))


@pages.get(urls.guide.route)
def show_guide(request: Request) -> Response:
    return render("site/guide", GuideListContext(Frame(request, GUIDE.label, section=GUIDE.label), get_guide()))


@pages.get(urls.guide_picture.route)
def show_picture(request: Request, name: str) -> Response:
    if not _FILE.fullmatch(name) or not (PICTURES / name).is_file():
        raise Problem(404, "not-found", "Not found", f"the guide has no picture {name[:200]!r}")
    return static_response(request, PICTURES / name)


@api.get(urls.guide_page.route, responses=problems(404), summary="A document of the guide, as Markdown")
def get_guide_page(page: str) -> GuidePage:
    return read(page)[0]


@pages.get(urls.guide_page.route)
def show_guide_page(request: Request, page: str) -> Response:
    document, body = read(page)
    frame = Frame(request, document.title, GUIDE, section=GUIDE.label)
    return render("site/guide_page", GuidePageContext(frame, document, body))
