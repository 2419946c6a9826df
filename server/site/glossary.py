"""The page of all definitions of `docs/glossary.md`, and its document."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.documents import Document
from prunescope.server.site.frame import Frame, render

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


class Definition(Document):
    word: str
    meaning: str


class GlossarySection(Document):
    title: str
    id: str  # fragment of the section's address on the page
    definitions: list[Definition]


class Glossary(Document):
    sections: list[GlossarySection]


@dataclass(frozen=True)
class GlossaryPage:
    """The context of ``site/glossary.html``."""

    frame: Frame
    document: Glossary


def glossary() -> Glossary:
    return Glossary(
        sections=[
            GlossarySection(
                title=title,
                id=title.lower().replace(" ", "-"),
                definitions=[Definition(word=word, meaning=meaning) for word, meaning in words.items()],
            )
            for title, words in formats.glossary_sections().items()
        ]
    )


@api.get(urls.glossary.route, summary="The definitions of all terms on pages")
def get_glossary() -> Glossary:
    return glossary()


@pages.get(urls.glossary.route)
def show_glossary(request: Request) -> Response:
    return render("site/glossary", GlossaryPage(Frame(request, "Definitions"), glossary()))
